import { defineConfig } from 'vitest/config';

// One worker for all files, since what takes its time is to load the CDK library: once instead of once a file.
export default defineConfig({
  test: {
    globalSetup: 'test/scratch.ts', testTimeout: 60_000, hookTimeout: 60_000, pool: 'threads', isolate: false, fileParallelism: false,
  },
});
