// Bundles the command into build/sampan/ so that it starts faster and needs less memory than from its sources: one parse per
// chunk, no type stripping. The sources stay what runs in development: scripts/sampan takes the bundle only while it is newer
// than every source file.
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = `${root}build/sampan`;

/** Files beside a module are found from where the module was written, not from where its chunk is. */
const keepLocations = {
  name: 'keep-locations',
  transform(code: string, id: string) {
    if (!id.startsWith(root) || id.includes('node_modules') || !code.includes('import.meta.')) return null;
    const from = JSON.stringify(relative(target, id));
    const here = `new URL(${from}, import.meta.url)`;
    return {
      code: code
        .replaceAll(
          'import.meta.dirname',
          `process.getBuiltinModule('node:path').dirname(process.getBuiltinModule('node:url').fileURLToPath(${here}))`,
        )
        .replaceAll('import.meta.filename', `process.getBuiltinModule('node:url').fileURLToPath(${here})`)
        .replace(/import\.meta\.url(?!\)\.href)/g, (text, at: number, whole: string) =>
          whole.slice(0, at).endsWith(`${from}, `) ? text : `${here}.href`,
        ),
      map: null,
    };
  },
};

const bundle = await rolldown({
  input: { main: `${root}cli/main.ts`, 'embedded-worker': `${root}apiserver/storage/embedded-worker.ts` },
  platform: 'node',
  plugins: [keepLocations],
  // Loaded rarely, or by ways a bundler cannot follow.
  external: [/^node:/, 'etcd3'],
  onLog(level, log, handler) {
    if (level === 'warn' && ['EVAL', 'CIRCULAR_DEPENDENCY'].includes(log.code ?? '')) return;
    handler(level, log);
  },
});
await bundle.write({
  dir: target,
  format: 'esm',
  entryFileNames: '[name].mjs',
  chunkFileNames: '[name]-[hash].mjs',
  cleanDir: true,
  banner:
    "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
});
