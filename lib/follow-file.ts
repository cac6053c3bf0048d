// Being told when a configuration file may have changed, without asking again and again.
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/**
 * Calls `changed` when the file may be another; not when it is gone. Of the directory, because a file that is replaced by a rename takes
 * a watch on itself with it; `..data` and the like are how a mounted ConfigMap is replaced. Does not keep the process alive.
 */
export function followFile(file: string, changed: () => void): FSWatcher {
  let pending = false;
  return watch(dirname(file), { persistent: false }, (_event, name) => {
    if (pending || (name !== null && name !== basename(file) && !name.startsWith('..'))) return;
    pending = true;
    // A replacement is several events.
    setImmediate(() => {
      pending = false;
      if (existsSync(file)) changed();
    });
  });
}
