// The build context: files below one directory, without what .dockerignore names.
import { globSync, lstatSync, readdirSync, readFileSync, realpathSync, type Stats } from 'node:fs';
import { join, relative } from 'node:path';

export interface ContextFile {
  /** Relative to the context. */
  path: string;
  hostPath: string;
  stats: Stats;
}

/** Where COPY takes files from. */
export interface CopySource {
  /** In messages: `the build context`, `stage "x"`. */
  readonly name: string;
  /** What a source pattern names, sorted; empty when nothing does. Links of the source itself are followed inside it. */
  match(pattern: string): ContextFile[];
  /** What is below a directory, parents before children, sorted by name, links as links. */
  below(directory: ContextFile): Generator<ContextFile>;
}

export class BuildContext implements CopySource {
  readonly name = 'the build context';
  #root: string;
  #ignored: (path: string) => boolean;

  constructor(root: string) {
    this.#root = realpathSync(root);
    let rules = '';
    try {
      rules = readFileSync(join(this.#root, '.dockerignore'), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    this.#ignored = ignoreRules(rules);
  }

  /** What a source pattern names, sorted; empty when nothing does. A link must stay inside the context. */
  match(pattern: string): ContextFile[] {
    const clean = pattern
      .split('/')
      .filter((part) => part !== '' && part !== '.')
      .join('/');
    const paths = clean === '' ? [''] : /[*?[\]]/.test(clean) ? globSync(clean, { cwd: this.#root }) : [clean];
    const files: ContextFile[] = [];
    for (const path of paths.sort()) {
      if (path !== '' && this.#ignored(path) && !this.#hasKept(path)) continue;
      const hostPath = join(this.#root, path);
      const stats = lstatSync(hostPath, { throwIfNoEntry: false });
      if (!stats) continue;
      if (!stats.isSymbolicLink()) {
        files.push({ path, hostPath, stats });
        continue;
      }
      const real = realpathSync(hostPath);
      if (relative(this.#root, real).startsWith('..')) throw new Error(`"${path}" leads out of the build context`);
      files.push({ path, hostPath: real, stats: lstatSync(real) });
    }
    return files;
  }

  /** What is below a directory of the context, parents before children, sorted by name, links as links. */
  *below(directory: ContextFile): Generator<ContextFile> {
    for (const name of readdirSync(directory.hostPath).sort()) {
      const path = directory.path === '' ? name : `${directory.path}/${name}`;
      const hostPath = join(directory.hostPath, name);
      const stats = lstatSync(hostPath);
      const file = { path, hostPath, stats };
      if (this.#ignored(path)) {
        // A directory may be ignored and some of what is in it not.
        if (stats.isDirectory()) yield* this.below(file);
        continue;
      }
      yield file;
      if (stats.isDirectory()) yield* this.below(file);
    }
  }

  #hasKept(path: string): boolean {
    const stats = lstatSync(join(this.#root, path), { throwIfNoEntry: false });
    if (!stats?.isDirectory()) return false;
    return !this.below({ path, hostPath: join(this.#root, path), stats }).next().done;
  }
}

/** The rules of a .dockerignore file: the last one that matches a path or a parent of it decides. */
export function ignoreRules(text: string): (path: string) => boolean {
  const rules = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const keep = line.startsWith('!');
      const pattern = (keep ? line.slice(1) : line).replace(/^\/+|\/+$/g, '').replace(/^\.\//, '');
      return { keep, expression: patternExpression(pattern) };
    });
  return (path) => {
    let ignored = false;
    for (const rule of rules) {
      const parts = path.split('/');
      const matches = parts.some((_, i) => rule.expression.test(parts.slice(0, i + 1).join('/')));
      if (matches) ignored = !rule.keep;
    }
    return ignored;
  };
}

/** A pattern of `*`, `**`, `?` and `[…]` as a regular expression over a whole path. */
export function patternExpression(pattern: string): RegExp {
  let source = '';
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i] as string;
    if (pattern.startsWith('**/', i)) {
      source += '(?:.*/)?';
      i += 2;
    } else if (pattern.startsWith('**', i)) {
      source += '.*';
      i += 1;
    } else if (c === '*') source += '[^/]*';
    else if (c === '?') source += '[^/]';
    else if (c === '[') {
      const end = pattern.indexOf(']', i);
      if (end < 0) source += '\\[';
      else {
        source += pattern.slice(i, end + 1).replace(/^\[!/, '[^');
        i = end;
      }
    } else source += c.replace(/[.+^${}()|\\\]]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 's');
}
