// Nothing is missing and nothing is called otherwise: the scheme as a server has it, compared with resources.txt, Kubernetes'
// own list of resources, subresources, verbs and columns (`*`: with -o wide).
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { apiResourceList } from '../api/discovery.ts';
import { createScheme } from '../api/kinds/index.ts';
import { reviewKinds } from './registry/subresources/kinds.ts';
import type { Column, Kind } from '../api/kind.ts';

const ALL_VERBS = 'create,delete,deletecollection,get,list,patch,update,watch';

/** Written as resources.txt is. */
function describeGroupVersion(group: string, version: string): string[] {
  const list = apiResourceList(scheme, group, version);
  const lines = [group ? `${group}/${version}` : version];
  for (const each of list?.resources ?? []) {
    const verbs = each.verbs.toSorted().join(',');
    const shownVerbs = verbs === ALL_VERBS ? 'all' : verbs;
    const [resource = '', subresource] = each.name.split('/');
    if (subresource) {
      const foreign = each.group !== undefined && each.group !== group ? ` (${each.group})` : '';
      lines.push(`    /${subresource} ${each.kind}${foreign} ${shownVerbs}`);
      continue;
    }
    const kind = scheme.byResource(group, version, resource) as Kind;
    lines.push(
      [
        `  ${resource} ${each.kind} ${each.namespaced ? 'namespaced' : 'cluster'} ${shownVerbs}`,
        ...(each.shortNames ? [`short=${each.shortNames.join(',')}`] : []),
        ...(each.categories ? [`category=${each.categories.join(',')}`] : []),
      ].join(' '),
    );
    if (kind.verbs.includes('list')) lines.push(`      | ${kind.columns.map(columnText).join('; ')}`);
  }
  return lines;
}

function columnText({ name, type, format, priority }: Column): string {
  return `${name}${type === 'string' && !format ? '' : `:${type}`}${format ? `:${format}` : ''}${priority > 0 ? '*' : ''}`;
}

const scheme = createScheme();
for (const kind of reviewKinds) scheme.add(kind);

const expected = readFileSync(new URL('resources.txt', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .reduce<string[][]>((groups, line) => {
    if (line.startsWith(' ')) groups.at(-1)?.push(line);
    else groups.push([line]);
    return groups;
  }, []);

it.each(expected.map((lines) => [lines[0] as string, lines] as const))('%s', (name, lines) => {
  const slash = name.indexOf('/');
  expect(describeGroupVersion(slash < 0 ? '' : name.slice(0, slash), name.slice(slash + 1))).toEqual(lines);
});

it('serves no other group', () => {
  const served = scheme
    .groups()
    .flatMap(({ group, versions }) => versions.map((each) => (group ? `${group}/${each}` : each)));
  expect(served.sort()).toEqual(expected.map(([name]) => name as string).sort());
});
