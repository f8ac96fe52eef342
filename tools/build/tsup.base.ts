import { defineConfig, type Options } from 'tsup'

/** The build every package shares: ESM for Node 22.18 and later, one file per entry, source maps. */
export function packageBuild(entry: Record<string, string>, options: Options = {}) {
  return defineConfig({
    entry,
    format: ['esm'],
    target: 'node22',
    platform: 'node',
    outDir: 'dist',
    sourcemap: true,
    splitting: true,
    treeshake: true,
    dts: false,
    clean: false,
    silent: true,
    ...options,
  })
}
