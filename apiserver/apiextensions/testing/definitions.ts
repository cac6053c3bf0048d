// For tests: definitions, and waiting until one is established.
import type { CustomResourceDefinitionVersion } from '../../../api/types/apiextensions-v1.ts';
import type { TestServer } from '../../testing/server.ts';

export const GROUP = 'stable.example.com';

export const schemaOf = (spec: object, more: object = {}) => ({
  openAPIV3Schema: { type: 'object', properties: { spec, ...more } },
});

export const versionOf = (
  name: string,
  schema: object,
  more: Partial<CustomResourceDefinitionVersion> = {},
): CustomResourceDefinitionVersion => ({ name, served: true, storage: true, schema, ...more });

export function definitionOf(
  plural: string,
  kind: string,
  versions: readonly CustomResourceDefinitionVersion[],
  more: { scope?: string; names?: object; conversion?: object } = {},
) {
  const { scope = 'Namespaced', names = {}, ...rest } = more;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: { group: GROUP, scope, names: { plural, kind, ...names }, versions, ...rest },
  };
}

export const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Creates a definition and resolves when a watch says that it is established. */
export async function establish(server: TestServer, definition: ReturnType<typeof definitionOf>): Promise<any> {
  const made = await server.call('POST', DEFINITIONS, { body: definition });
  if (made.code !== 201) throw new Error(`definition refused: ${made.text}`);
  return untilDefinition(server, definition.metadata.name, (object) => conditionIs(object, 'Established', 'True'));
}

export const conditionIs = (object: any, type: string, status: string): boolean =>
  object?.status?.conditions?.some((each: any) => each.type === type && each.status === status) ?? false;

/** The definition as soon as it is as wanted; undefined when it is gone and `wanted` accepts that. */
export async function untilDefinition(
  server: TestServer,
  name: string,
  wanted: (object: any) => boolean,
): Promise<any> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const { code, body } = await server.call('GET', `${DEFINITIONS}/${name}`);
    const object = code === 200 ? body : undefined;
    if (wanted(object)) return object;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`definition ${name} did not become what was waited for`);
}
