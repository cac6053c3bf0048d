// Tests live beside what they test as *.test.ts; test/e2e holds the ones that need root, namespaces and a real kubectl.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'build/**', '.cache/**'],
    setupFiles: ['test/seed.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
