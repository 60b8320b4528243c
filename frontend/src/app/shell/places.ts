/** A page that the menu leads to. */
export interface Place {
  path: string;
  label: string;
}

export const TRY: readonly Place[] = [
  { path: '/try/image', label: 'Image' },
  { path: '/try/tabular', label: 'Tabular' },
  { path: '/try/text', label: 'Text' },
  { path: '/try/digits', label: 'Digits' },
  { path: '/try/shapes', label: 'Shapes' },
  { path: '/try/models', label: 'Any model' },
  { path: '/history', label: 'History' },
];

export const OPERATE: readonly Place[] = [
  { path: '/service', label: 'Service' },
  { path: '/models', label: 'Models' },
  { path: '/compare', label: 'Compare' },
  { path: '/training', label: 'Training' },
  { path: '/jobs', label: 'Jobs' },
];
