// Writes api/types/*.ts from api/schema/*.txt: `scripts/node scripts/generate-types.ts [--check]`.
// With --check nothing is written and the exit code says whether the files are current.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type Definition, groupDefinitions, type TypeRef } from '../api/schema.ts';

const schemas = new URL('../api/schema/', import.meta.url);
const types = new URL('../api/types/', import.meta.url);

const SCALAR_TYPES: Record<string, string> = {
  string: 'string',
  bool: 'boolean',
  int32: 'number',
  int64: 'number',
  double: 'number',
  bytes: 'string',
  time: 'string',
  microtime: 'string',
  quantity: 'string | number',
  intstr: 'number | string',
  raw: 'unknown',
  any: 'unknown',
  object: 'Record<string, unknown>',
  fields: 'Record<string, unknown>',
};

const fileName = (group: string) => `${group.replaceAll('.', '-')}.ts`;
const alias = (group: string) => group.replaceAll('.', '_');

function render(type: TypeRef, group: string, imports: Set<string>): string {
  switch (type.kind) {
    case 'scalar':
      return SCALAR_TYPES[type.scalar] as string;
    case 'list': {
      const of = render(type.of, group, imports);
      return /[ |]/.test(of) && !of.startsWith('Record<') ? `(${of})[]` : `${of}[]`;
    }
    case 'map':
      return `Record<string, ${render(type.of, group, imports)}>`;
    case 'ref': {
      const dot = type.name.lastIndexOf('.');
      const owner = type.name.slice(0, dot);
      const name = type.name.slice(dot + 1);
      if (owner === group) return name;
      imports.add(owner);
      return `${alias(owner)}.${name}`;
    }
  }
}

function renderDefinition(each: Definition, group: string, imports: Set<string>): string {
  const name = each.name.slice(group.length + 1);
  if (each.scalar && each.fields.size === 0) return `export type ${name} = ${SCALAR_TYPES[each.scalar]};\n`;
  const lines = each.isKind ? ['  apiVersion?: string;', '  kind?: string;'] : [];
  for (const field of each.fields.values()) {
    // Objects on their way through the server may lack metadata only before decoding; afterwards it is always there.
    const present = field.required || (each.isKind && field.name === 'metadata');
    const key = /^[A-Za-z_$][\w$]*$/.test(field.name) ? field.name : `'${field.name}'`;
    lines.push(`  ${key}${present ? '' : '?'}: ${render(field.type, group, imports)};`);
  }
  return `export interface ${name} {\n${lines.join('\n')}\n}\n`;
}

const check = process.argv.includes('--check');
let stale = 0;
mkdirSync(types, { recursive: true });
for (const file of readdirSync(schemas).sort()) {
  if (!file.endsWith('.txt')) continue;
  const group = file.slice(0, -4);
  const imports = new Set<string>();
  const body = [...groupDefinitions(group).values()]
    .filter((each) => !each.isInlineOnly)
    .map((each) => renderDefinition(each, group, imports))
    .join('\n');
  const heads = [...imports].sort().map((owner) => `import type * as ${alias(owner)} from './${fileName(owner)}';\n`);
  const text = `// Generated from api/schema/${file} by scripts/generate-types.ts; do not edit.\n${heads.join('')}\n${body}`;
  const target = new URL(fileName(group), types);
  if (existsSync(target) && readFileSync(target, 'utf8') === text) continue;
  stale++;
  if (check) console.error(`${target.pathname} is stale: run scripts/node scripts/generate-types.ts`);
  else writeFileSync(target, text);
}
if (check && stale > 0) process.exitCode = 1;
else if (!check) console.log(`${stale} files written`);
