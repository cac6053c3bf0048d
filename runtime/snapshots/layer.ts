// Between OCI layers and overlay directories. A layer says "removed" with files named `.wh.<name>` and `.wh..wh..opq`;
// overlayfs says it with a character device 0:0 and the attribute trusted.overlay.opaque. The translation happens on
// the tar stream, so that tar(1) does the rest in both directions. Source: OCI image-spec, layer.md.
import type { IdShift } from './shift.ts';
import { posix } from 'node:path';
import { readTar, type TarEntry, TarError, type TarHeader, tarEnd, tarHeader, tarPadding } from './tar.ts';

const whiteoutPrefix = '.wh.';
const opaqueMarker = '.wh..wh..opq';
const opaqueAttribute = 'trusted.overlay.opaque';

/** Relative path without `.`; throws for what would leave the root. The root itself is ''. */
export function cleanPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new TarError(`tar entry "${name}" leaves the root`);
  if (name.includes('\0')) throw new TarError('tar entry has a zero byte in its name');
  return parts.join('/');
}

export interface OverlayLayer {
  /** Directories that hide what is below them, relative paths. */
  opaque: string[];
  /** Bytes of file content. */
  size: number;
  entries: number;
}

/**
 * The tar stream to unpack into an overlay directory, and afterwards what it held. Refused: entries that leave the
 * root, also through a symbolic link of the same layer, and links to such places.
 */
export async function* toOverlay(
  source: AsyncIterable<Uint8Array>,
  result: OverlayLayer,
): AsyncGenerator<Buffer, void, undefined> {
  const seen = new Map<string, TarHeader['type']>();
  const directories = new Map<string, TarHeader>();
  const symlinks = new Set<string>();
  const whiteouts: string[] = [];
  const opaque = new Set<string>();
  const refuseThroughLink = (path: string, what: string) => {
    for (let parent = posix.dirname(path); parent !== '.'; parent = posix.dirname(parent)) {
      if (symlinks.has(parent)) throw new TarError(`${what} "${path}" passes through the symbolic link "${parent}"`);
    }
  };
  for await (const entry of readTar(source)) {
    result.entries++;
    const path = cleanPath(entry.name);
    const base = posix.basename(path);
    const directory = path.includes('/') ? posix.dirname(path) : '';
    refuseThroughLink(path, 'tar entry');
    if (base === opaqueMarker) {
      opaque.add(directory);
      continue;
    }
    if (base.startsWith(whiteoutPrefix)) {
      const hidden = base.slice(whiteoutPrefix.length);
      if (hidden === '' || hidden === '.' || hidden === '..') throw new TarError(`malformed whiteout "${entry.name}"`);
      if (!hidden.startsWith('.wh.')) whiteouts.push(directory === '' ? hidden : `${directory}/${hidden}`);
      continue;
    }
    if (entry.type === 'link') {
      const target = cleanPath(entry.linkname);
      refuseThroughLink(target, 'hard link target');
      if (symlinks.has(target)) symlinks.add(path);
    }
    if (entry.type === 'symlink') symlinks.add(path);
    else if (entry.type !== 'link') symlinks.delete(path);
    seen.set(path, entry.type);
    if (entry.type === 'directory') directories.set(path, headerOf(entry));
    if (Object.keys(entry.xattrs).some((name) => name.startsWith('trusted.overlay.'))) {
      throw new TarError(`tar entry "${entry.name}" carries overlay attributes`);
    }
    yield entry.raw;
    result.size += entry.size;
    for await (const part of entry.body) yield part;
    yield tarPadding(entry.size);
  }
  for (const path of whiteouts) {
    const type = seen.get(path);
    // Removed and made again in one layer: a directory must hide the old content, anything else does so by itself.
    if (type === 'directory') opaque.add(path);
    else if (type === undefined) {
      refuseThroughLink(path, 'whiteout');
      yield tarHeader({ name: path, type: 'char', mode: 0, devMajor: 0, devMinor: 0 });
    }
  }
  for (const path of opaque) {
    // A link may have come after the marker.
    if (path !== '') refuseThroughLink(`${path}/${opaqueMarker}`, 'opaque marker');
    const header = directories.get(path) ?? { name: path === '' ? '.' : path, type: 'directory', mode: 0o755 };
    const xattrs = { ...(header as Partial<TarHeader>).xattrs, [opaqueAttribute]: Buffer.from('y') };
    yield tarHeader({ ...header, type: 'directory', name: `${path === '' ? '.' : path}/`, xattrs });
  }
  result.opaque = [...opaque].sort();
  yield tarEnd;
}

/**
 * The layer made of an overlay upper directory, as tar(1) wrote it with `--xattrs`. Names are without `./`, times are
 * `mtime` and overlay's own attributes are gone, so that the same change gives the same bytes.
 */
export async function* fromOverlay(
  source: AsyncIterable<Uint8Array>,
  mtime: number,
  omit: ReadonlySet<string> = new Set(),
  owners?: IdShift,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const entry of readTar(source)) {
    const path = cleanPath(entry.name);
    if (path === '' || omit.has(path)) continue;
    const isOpaque = entry.xattrs[opaqueAttribute]?.toString() === 'y';
    const xattrs = Object.fromEntries(
      Object.entries(entry.xattrs).filter(([name]) => !name.startsWith('trusted.overlay.')),
    );
    if (entry.type === 'char' && entry.devMajor === 0 && entry.devMinor === 0) {
      yield tarHeader({
        name: posix.join(posix.dirname(path), whiteoutPrefix + posix.basename(path)),
        type: 'file',
        mode: 0,
        mtime,
      });
      continue;
    }
    const name = entry.type === 'directory' ? `${path}/` : path;
    const linkname = entry.type === 'link' ? cleanPath(entry.linkname) : entry.linkname;
    const owner = owners && { uid: owners.uid(entry.uid), gid: owners.gid(entry.gid) };
    yield tarHeader({ ...headerOf(entry), name, linkname, mtime, xattrs, ...owner });
    for await (const part of entry.body) yield part;
    yield tarPadding(entry.size);
    if (isOpaque) yield tarHeader({ name: `${path}/${opaqueMarker}`, type: 'file', mode: 0, mtime });
  }
  yield tarEnd;
}

function headerOf(entry: TarEntry): TarHeader {
  const { raw: _raw, body: _body, ...header } = entry;
  return header;
}
