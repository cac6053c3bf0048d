import { describe, expect, it } from 'vitest';
import { createScheme } from './kinds/index.ts';
import { encodeGnostic } from './openapi-gnostic.ts';
import { OpenApiDocuments } from './openapi.ts';
import { WireReader } from './protobuf-wire.ts';
import { Scheme } from './scheme.ts';

const documents = () => new OpenApiDocuments(createScheme(), { version: 'v1.36.0' });
const json = (document: { bytes: Buffer } | undefined) => JSON.parse(document?.bytes.toString() ?? 'null');

/** Every `$ref` anywhere in a document. */
function references(value: unknown, found = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return found;
  for (const [key, each] of Object.entries(value)) {
    if (key === '$ref' && typeof each === 'string') found.add(each);
    else references(each, found);
  }
  return found;
}

describe('OpenAPI 3.0', () => {
  const apps = json(documents().v3('apis/apps/v1'));

  it('is indexed by group version with a hash', () => {
    const { paths } = json(documents().index());
    expect(paths['api/v1'].serverRelativeURL).toMatch(/^\/openapi\/v3\/api\/v1\?hash=[0-9A-F]{128}$/);
    expect(paths['apis/apps/v1']).toBeDefined();
    expect(documents().v3('apis/apps/v7')).toBeUndefined();
    expect(documents().v3('../etc')).toBeUndefined();
  });
  it('says what kubectl looks for: the PATCH of a kind, its fieldValidation and its patch types', () => {
    const { patch } = apps.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}'];
    expect(patch['x-kubernetes-group-version-kind']).toEqual({ group: 'apps', version: 'v1', kind: 'Deployment' });
    expect(patch.parameters).toContainEqual(expect.objectContaining({ name: 'fieldValidation', in: 'query' }));
    expect(Object.keys(patch.requestBody.content)).toContain('application/strategic-merge-patch+json');
  });
  it('says it for every PATCH of a kind', () => {
    for (const path of ['api/v1', 'apis/apps/v1']) {
      for (const item of Object.values<Record<string, { parameters: { name: string }[] }>>(
        json(documents().v3(path)).paths,
      )) {
        if (item['patch']) expect(item['patch'].parameters.map((each) => each.name)).toContain('fieldValidation');
      }
    }
  });
  it('says how each request can end', () => {
    const codes = (path: string, method: string) =>
      Object.keys(apps.paths[`/apis/apps/v1/namespaces/{namespace}/${path}`][method].responses);
    expect(codes('deployments', 'get')).toEqual(['200', '401']);
    expect(codes('deployments', 'post')).toEqual(['200', '201', '202', '401']);
    expect(codes('deployments/{name}', 'put')).toEqual(['200', '201', '401']);
    expect(codes('deployments/{name}/scale', 'patch')).toEqual(['200', '201', '401']);
    expect(codes('deployments/{name}', 'delete')).toEqual(['200', '202', '401']);
  });
  it('has merge keys and kinds in its schemas', () => {
    const { schemas } = apps.components;
    expect(schemas['io.k8s.api.apps.v1.Deployment']['x-kubernetes-group-version-kind']).toEqual([
      { group: 'apps', version: 'v1', kind: 'Deployment' },
    ]);
    expect(schemas['io.k8s.api.core.v1.PodSpec'].properties.containers).toMatchObject({
      type: 'array',
      items: { $ref: '#/components/schemas/io.k8s.api.core.v1.Container' },
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'name',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    });
    expect(schemas['io.k8s.api.apps.v1.DeploymentSpec'].properties.strategy).toMatchObject({
      allOf: [{ $ref: '#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy' }],
      'x-kubernetes-patch-strategy': 'retainKeys',
    });
  });
  it('refers to nothing that is not there', () => {
    for (const path of Object.keys(json(documents().index()).paths)) {
      const document = json(documents().v3(path));
      const missing = [...references(document)].filter(
        (each) => !(each.replace('#/components/schemas/', '') in document.components.schemas),
      );
      expect(missing).toEqual([]);
    }
  });
  it('is built again when the scheme changes', () => {
    const scheme = createScheme();
    const open = new OpenApiDocuments(scheme, { version: 'v1.36.0' });
    const first = open.v3('api/v1');
    expect(open.v3('api/v1')).toBe(first);
    const hash = open.hash('apis/apps/v1');
    const apps = open.v3('apis/apps/v1');
    scheme.remove({ group: 'apps', version: 'v1', resource: 'deployments' });
    // Another group's document stays.
    expect(open.v3('api/v1')).toBe(first);
    expect(open.v3('apis/apps/v1')?.etag).not.toBe(apps?.etag);
    expect(open.hash('apis/apps/v1')).not.toBe(hash);
  });
  it('describes custom resources as objects', () => {
    const pod = createScheme().byKind('', 'v1', 'Pod');
    const widget = {
      ...pod,
      group: 'example.com',
      kind: 'Widget',
      listKind: 'WidgetList',
      resource: 'widgets',
      schema: '',
    };
    const open = new OpenApiDocuments(new Scheme([widget as never]), { version: 'v1.36.0' });
    const document = json(open.v3('apis/example.com/v1'));
    expect(document.components.schemas['com.example.v1.Widget'].properties.metadata).toBeDefined();
    const { patch } = document.paths['/apis/example.com/v1/namespaces/{namespace}/widgets/{name}'];
    expect(Object.keys(patch.requestBody.content)).not.toContain('application/strategic-merge-patch+json');
  });
});

describe('OpenAPI 2.0', () => {
  const swagger = json(documents().v2());
  it('refers to nothing that is not there', () => {
    expect(
      [...references(swagger)].filter((each) => {
        const [, place = '', name = ''] = each.split('/');
        return !(name in swagger[place]);
      }),
    ).toEqual([]);
  });
  it('is also written as protobuf', () => {
    const reader = new WireReader(documents().v2Protobuf().bytes);
    const seen = new Map<number, number>();
    while (!reader.done) {
      const tag = reader.uint32();
      if (tag >> 3 === 1) expect(reader.string()).toBe('2.0');
      else if (tag >> 3 === 8) {
        // Paths
        const paths = new WireReader(reader.bytes());
        while (!paths.done) {
          expect(paths.uint32()).toBe((2 << 3) | 2);
          paths.bytes();
          seen.set(2, (seen.get(2) ?? 0) + 1);
        }
      } else reader.skip(tag & 7);
    }
    expect(seen.get(2)).toBe(Object.keys(swagger.paths).length);
  });
  it('loses nothing on the way to protobuf', () =>
    expect(() => encodeGnostic({ foo: 1 })).toThrow('no gnostic field for foo'));
});
