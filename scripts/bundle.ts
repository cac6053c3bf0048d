// Bundles the command into build/sampan/, so that it starts faster and needs less memory than from its sources: few files to
// read, no types to strip. In development the sources are what runs: scripts/sampan takes the bundle only while it is newer
// than all of them.
import { rmSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = `${root}build/sampan`;

/** Files beside a module are found from where the module was written, not from where its chunk is; workers are chunks. */
const keepLocations = {
  name: 'keep-locations',
  transform(code: string, id: string) {
    if (!id.startsWith(root) || id.includes('node_modules') || !code.includes('import.meta.')) return null;
    const here = `new URL(${JSON.stringify(relative(target, id))}, import.meta.url)`;
    const path = `process.getBuiltinModule('node:url').fileURLToPath(${here})`;
    const replacements: [RegExp, string][] = [
      [/new URL\('\.\/([\w-]+-worker)\.ts', import\.meta\.url\)/g, "new URL('./$1.mjs', __chunk)"],
      [/import\.meta\.dirname/g, `process.getBuiltinModule('node:path').dirname(${path})`],
      [/import\.meta\.url\b(?!\))/g, `${here}.href`],
      [/(new URL\('[^']+', )import\.meta\.url\)/g, `$1${here})`],
      [/__chunk/g, 'import.meta.url'],
    ];
    return { code: replacements.reduce((text, [from, to]) => text.replace(from, to), code), map: null };
  },
};

const bundle = await rolldown({
  input: { main: `${root}cli/main.ts`, 'embedded-worker': `${root}apiserver/storage/embedded-worker.ts` },
  platform: 'node',
  plugins: [keepLocations],
  // Loaded rarely, and by ways a bundler cannot follow.
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
  // V8 keeps the text, two bytes for each character where one of them is beyond Latin-1: so all ASCII, without comments and
  // spaces. Names stay, for stack traces.
  charset: 'ascii',
  comments: false,
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  // Packages in CommonJS ask for `require`.
  banner:
    "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
});
// Of the bundle before.
rmSync(`${root}build/compile-cache`, { recursive: true, force: true });
