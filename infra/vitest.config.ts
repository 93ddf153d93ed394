import { defineConfig } from 'vitest/config';

// The first test of a file loads the whole CDK library, which takes seconds on a small machine.
export default defineConfig({ test: { testTimeout: 60_000, hookTimeout: 60_000 } });
