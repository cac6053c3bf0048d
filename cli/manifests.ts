// Reads the documents of `-f`: files, directories (yaml, yml, json), or standard input.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { KubeObject } from '../api/object.ts';
import { parseYamlDocuments, type YamlDocument } from '../api/yaml.ts';
import { UserError } from './user-error.ts';

export interface Manifest {
  /** File, and document number where there are several. */
  where: string;
  object: KubeObject;
}

export function readManifests(paths: readonly string[], recursive = false): Manifest[] {
  if (paths.length === 0) throw new UserError('must specify one of -f: a file, a directory, or - for standard input');
  const found = paths.flatMap((path) => filesOf(path, recursive)).flatMap(readFile);
  if (found.length === 0) throw new UserError('no objects passed to apply: the files hold no documents');
  return found;
}

function filesOf(path: string, recursive: boolean): string[] {
  if (path === '-') return [path];
  let isDirectory: boolean;
  try {
    isDirectory = statSync(path).isDirectory();
  } catch {
    throw new UserError(`the path "${path}" does not exist`);
  }
  if (!isDirectory) return [path];
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const child = join(path, entry.name);
      if (entry.isDirectory()) return recursive ? filesOf(child, true) : [];
      return ['.yaml', '.yml', '.json'].includes(extname(entry.name)) ? [child] : [];
    });
}

function readFile(path: string): Manifest[] {
  const text = readFileSync(path === '-' ? 0 : path, 'utf8');
  const name = path === '-' ? 'standard input' : path;
  let documents: YamlDocument[];
  try {
    documents = parseYamlDocuments(text);
  } catch (error) {
    throw new UserError(`error parsing ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return documents.flatMap(({ value: document, line, duplicates }) => {
    const where = documents.length > 1 ? `${name}, line ${line}` : name;
    if (duplicates.length > 0) throw new UserError(`error parsing ${name}: yaml: ${duplicates.join(', ')}`);
    if (document === null || document === undefined) return [];
    if (typeof document !== 'object' || Array.isArray(document))
      throw new UserError(`${where}: not a Kubernetes object`);
    const object = document as KubeObject & { items?: KubeObject[] };
    if (!object.kind || !object.apiVersion) throw new UserError(`${where}: apiVersion and kind must be set`);
    const items = object.kind.endsWith('List') && Array.isArray(object.items) ? object.items : [object];
    return items.map((item) => ({ where, object: { ...item, metadata: item.metadata ?? {} } }));
  });
}
