import angular from 'angular-eslint';
import tseslint from 'typescript-eslint';
import js from '@eslint/js';

const FEATURES = ['try', 'history', 'models', 'compare', 'training', 'jobs', 'service', 'keys'];

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', '.angular/**', 'src/app/core/api/generated/**'] },
  {
    files: ['**/*.ts'],
    extends: [
      js.configs.recommended,
      ...tseslint.configs.strict,
      ...tseslint.configs.stylistic,
      ...angular.configs.tsRecommended,
    ],
    processor: angular.processInlineTemplates,
    rules: {
      'max-lines': ['error', 300],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      '@angular-eslint/prefer-on-push-component-change-detection': 'error',
      '@angular-eslint/component-class-suffix': 'off',
      '@typescript-eslint/explicit-function-return-type': ['error', { allowExpressions: true }],
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      'no-console': ['error', { allow: ['error'] }],
    },
  },
  {
    // core knows nothing above it, shared knows core, and no page knows another.
    files: ['src/app/core/**/*.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: ['**/shared/**', '**/features/**', '**/shell/**'] }] },
  },
  {
    files: ['src/app/shared/**/*.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: ['**/features/**', '**/shell/**'] }] },
  },
  ...FEATURES.map((feature) => ({
    files: [`src/app/features/${feature}/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: FEATURES.filter((other) => other !== feature).flatMap((other) => [`../${other}/*`, `**/features/${other}/*`]) },
      ],
    },
  })),
  {
    files: ['**/*.spec.ts'],
    rules: { 'max-lines-per-function': 'off' },
  },
  {
    files: ['**/*.html'],
    extends: [...angular.configs.templateRecommended, ...angular.configs.templateAccessibility],
  },
);
