// Writes proto/cri-types.ts from proto/cri-runtime-v1.proto: `scripts/node scripts/generate-cri-types.ts [--check]`.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const target = new URL('../proto/cri-types.ts', import.meta.url);
const root = protobuf.loadSync(fileURLToPath(new URL('../proto/cri-runtime-v1.proto', import.meta.url)));
const SCALARS: Record<string, string> = { string: 'string', bool: 'boolean', bytes: 'Uint8Array' };
const out = ['// Generated from cri-runtime-v1.proto by scripts/generate-cri-types.ts; do not edit.', ''];

function typeOf(field: protobuf.Field): string {
  const resolved = field.resolve().resolvedType;
  if (resolved) return resolved.name;
  return SCALARS[field.type] ?? 'number';
}

function visit(namespace: protobuf.NamespaceBase): void {
  for (const each of namespace.nestedArray) {
    if (each instanceof protobuf.Enum) {
      out.push(
        `export type ${each.name} = ${Object.keys(each.values)
          .map((value) => `'${value}'`)
          .join(' | ')};`,
        '',
      );
    } else if (each instanceof protobuf.Type) {
      const lines = each.fieldsArray.map((field) => {
        const type = typeOf(field);
        if (field instanceof protobuf.MapField) return `  ${field.name}?: Record<string, ${type}>;`;
        if (field.repeated) return `  ${field.name}?: ${type}[];`;
        return `  ${field.name}?: ${type}${field.resolvedType instanceof protobuf.Type ? ' | null' : ''};`;
      });
      if (lines.length === 0) out.push(`export type ${each.name} = Record<string, never>;`, '');
      else out.push(`export interface ${each.name} {`, ...lines, '}', '');
      visit(each);
    } else if (each instanceof protobuf.Service) {
      out.push(
        `/** Method name to [request, response, streams the response]. */`,
        `export interface ${each.name}Methods {`,
      );
      for (const method of each.methodsArray) {
        const { requestType, responseType, responseStream } = method;
        out.push(`  ${method.name}: [${requestType}, ${responseType}, ${responseStream === true}];`);
      }
      out.push('}', '');
    } else if (each instanceof protobuf.Namespace) visit(each);
  }
}

root.resolveAll();
visit(root);
const text = `${out.join('\n').trimEnd()}\n`;
const current = existsSync(target) && readFileSync(target, 'utf8') === text;
if (process.argv.includes('--check')) {
  if (!current) {
    console.error('proto/cri-types.ts is stale: run scripts/node scripts/generate-cri-types.ts');
    process.exitCode = 1;
  }
} else if (!current) writeFileSync(target, text);
