// /logs/: the files below the host's /var/log, a directory as a list of links, a file as it is. Nothing outside of it is read, by no
// path and no link.
import { createReadStream } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HttpError } from './http-error.ts';

export async function serveNodeLogs(root: string, path: string, response: ServerResponse): Promise<void> {
  const notFound = new HttpError(404, '404 page not found');
  let real: string;
  let top: string;
  try {
    [top, real] = await Promise.all([realpath(root), realpath(join(root, path))]);
  } catch {
    throw notFound;
  }
  if (real !== top && !real.startsWith(`${top}${sep}`)) throw notFound;
  const found = await stat(real);
  if (found.isDirectory()) {
    const entries = await readdir(real, { withFileTypes: true });
    const names = entries.map((each) => (each.isDirectory() ? `${each.name}/` : each.name)).sort();
    const escape = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&#34;');
    response.setHeader('content-type', 'text/html; charset=utf-8');
    const lines = names.map((name) => `<a href="${encodeURI(name)}">${escape(name)}</a>\n`);
    response.end(`<pre>\n${lines.join('')}</pre>\n`);
    return;
  }
  if (!found.isFile()) throw notFound;
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  await pipeline(createReadStream(real), response);
}
