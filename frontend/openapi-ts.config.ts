import { defineConfig } from '@hey-api/openapi-ts';

// The description is written by `python -m services.gateway.openapi_file`; a test compares both.
export default defineConfig({
  input: './openapi.json',
  output: { path: 'src/app/core/api/generated' },
  plugins: ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk'],
});
