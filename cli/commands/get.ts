// sampan get: the server prints the table, we lay it out.
import { stringify } from 'yaml';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';
import type { ResourceRef } from '../../client/port.ts';
import { Catalogue, describeTarget, parseTargets, type Target } from '../catalogue.ts';
import type { Session } from '../session.ts';
import { type ServerTable, tableLines } from '../table.ts';
import { UserError } from '../user-error.ts';

export interface GetOptions {
  output?: string;
  allNamespaces?: boolean;
  selector?: string;
  fieldSelector?: string;
  watch?: boolean;
  headers: boolean;
}

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

export async function get(
  session: Session,
  words: readonly string[],
  options: GetOptions,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const output = options.output ?? '';
  if (!['', 'wide', 'yaml', 'json', 'name'].includes(output)) {
    throw new UserError(
      `unable to match a printer suitable for the output format "${output}", allowed formats are: json,name,wide,yaml`,
    );
  }
  const targets = parseTargets(await Catalogue.load(session.client), words);
  if (output === 'yaml' || output === 'json' || output === 'name')
    return getObjects(session, targets, options, output, print);
  if (options.watch && targets.length > 1) throw new UserError('you may only watch one resource at a time');

  let printed = 0;
  for (const target of targets) {
    const table = await session.client.request<ServerTable>('GET', pathOf(session, target, options), undefined, {
      headers: { accept: TABLE },
      signal,
    });
    if (table.rows.length > 0 || options.watch) {
      if (printed++ > 0) print('');
      const withNamespace = Boolean(options.allNamespaces && target.ref.namespaced);
      const layout = { wide: output === 'wide', withNamespace, headings: options.headers };
      if (targets.length > 1) prefixNames(table, target.ref);
      for (const line of tableLines(table, layout)) print(line);
      if (options.watch) return watchTable(session, target, options, table, layout, print, signal);
    }
  }
  if (printed === 0) {
    const where =
      targets.some((each) => each.ref.namespaced) && !options.allNamespaces ? ` in ${session.namespace} namespace` : '';
    process.stderr.write(`No resources found${where}.\n`);
  }
}

async function getObjects(
  session: Session,
  targets: readonly Target[],
  options: GetOptions,
  output: 'yaml' | 'json' | 'name',
  print: (line: string) => void,
): Promise<void> {
  const objects: KubeObject[] = [];
  for (const target of targets) {
    const answer = await session.client.request<KubeObject & { items?: KubeObject[] }>(
      'GET',
      pathOf(session, target, options),
    );
    const { kind } = target.ref;
    for (const item of answer.items ?? [answer]) objects.push({ ...item, apiVersion: apiVersionOf(target.ref), kind });
    if (output === 'name')
      for (const item of answer.items ?? [answer]) print(describeTarget(target.ref, item.metadata.name ?? ''));
  }
  if (output === 'name') return;
  const single = targets.length === 1 && targets[0]?.name;
  const value = single
    ? objects[0]
    : { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items: objects };
  print(output === 'json' ? JSON.stringify(value, undefined, 4) : stringify(value, { lineWidth: 0 }).trimEnd());
}

async function watchTable(
  session: Session,
  target: Target,
  options: GetOptions,
  first: ServerTable,
  layout: { wide: boolean; withNamespace: boolean },
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const query = new URLSearchParams({ watch: 'true', resourceVersion: first.metadata.resourceVersion ?? '' });
  if (target.name) query.set('fieldSelector', `metadata.name=${target.name}`);
  const path = pathOf(session, { ref: target.ref }, options);
  const { body } = await session.client.stream('GET', `${path}${path.includes('?') ? '&' : '?'}${query}`, {
    headers: { accept: TABLE },
    signal,
  });
  let rest = '';
  let columns = first.columnDefinitions;
  for await (const chunk of body) {
    rest += Buffer.from(chunk).toString();
    const lines = rest.split('\n');
    rest = lines.pop() as string;
    for (const line of lines) {
      const event = JSON.parse(line) as { type: string; object: ServerTable & { message?: string } };
      if (event.type === 'ERROR') throw new UserError(event.object.message ?? 'the watch failed');
      if (event.type === 'BOOKMARK') continue;
      // Only the first event carries the columns.
      if (event.object.columnDefinitions?.length) columns = event.object.columnDefinitions;
      for (const text of tableLines({ ...event.object, columnDefinitions: columns }, { ...layout, headings: false }))
        print(text);
    }
  }
}

export function pathOf(session: Session, target: Target, options: GetOptions): string {
  const { ref, name } = target;
  const root = ref.group === '' ? `/api/${ref.version}` : `/apis/${ref.group}/${ref.version}`;
  const inNamespace = ref.namespaced && (!options.allNamespaces || name !== undefined);
  const scope = inNamespace ? `/namespaces/${encodeURIComponent(session.namespace)}` : '';
  if (options.allNamespaces && name !== undefined && ref.namespaced) {
    throw new UserError('a resource cannot be retrieved by name across all namespaces');
  }
  const query = new URLSearchParams();
  if (options.selector) query.set('labelSelector', options.selector);
  if (options.fieldSelector) query.set('fieldSelector', options.fieldSelector);
  const path = `${root}${scope}/${ref.resource}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
  return name === undefined && query.size > 0 ? `${path}?${query}` : path;
}

/** With several types in one answer, names are told apart by their type. */
function prefixNames(table: ServerTable, ref: ResourceRef): void {
  for (const row of table.rows) row.cells[0] = describeTarget(ref, String(row.cells[0]));
}
