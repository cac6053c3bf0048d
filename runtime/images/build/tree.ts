// The files of a stage or an image as a source of COPY --from: its layers merged, nothing mounted.
import { posix } from 'node:path';
import type { Found, RootfsView } from '../../snapshots/view.ts';
import { type ContextFile, type CopySource, patternExpression } from './context.ts';

export class ImageTree implements CopySource {
  readonly name: string;
  #view: RootfsView;

  constructor(name: string, view: RootfsView) {
    this.name = name;
    this.#view = view;
  }

  match(pattern: string): ContextFile[] {
    const parts = pattern.split('/').filter((part) => part !== '' && part !== '.');
    let found = [''];
    for (const part of parts) {
      if (!/[*?[\]]/.test(part)) {
        found = found.map((path) => posix.join(path, part));
        continue;
      }
      const expression = patternExpression(part);
      found = found.flatMap((path) =>
        this.#view
          .list(`/${path}`)
          .filter((name) => expression.test(name))
          .map((name) => posix.join(path, name)),
      );
    }
    return found.flatMap((path) => {
      const file = this.#view.find(`/${path}`);
      return file ? [fileOf(path, file)] : [];
    });
  }

  *below(directory: ContextFile): Generator<ContextFile> {
    for (const name of this.#view.list(`/${directory.path}`)) {
      const path = posix.join(directory.path, name);
      const found = this.#view.at(`/${path}`);
      if (!found) continue;
      const file = fileOf(path, found);
      yield file;
      if (file.stats.isDirectory()) yield* this.below(file);
    }
  }
}

const fileOf = (path: string, { hostPath, stats }: Found): ContextFile => ({ path, hostPath, stats });
