// OpenAPI documents, built when they are first asked for and kept as bytes until the scheme changes: one 3.0 document per
// group version with an index of them, and one 2.0 document as JSON and as gnostic's protobuf.
import { createHash } from 'node:crypto';
import { descriptionsDigest, sectionText, typeText } from './descriptions.ts';
import type { Kind } from './kind.ts';
import { encodeGnostic } from './openapi-gnostic.ts';
import { addPaths } from './openapi-operations.ts';
import { ParameterSet } from './openapi-parameters.ts';
import { type Dialect, definitionOf, described, type JsonSchema, openApiName, SchemaSet } from './openapi-schemas.ts';
import type { Scheme } from './scheme.ts';

/** How clients ask for 2.0 as protobuf. It is no legal media type, which is why answers carry the other form. */
export const OPENAPI_V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
export const OPENAPI_V2_PROTOBUF_ANSWER = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

export interface OpenApiOptions {
  /** As in /version: `v1.36.0`. */
  version: string;
}

export interface OpenApiDocument {
  bytes: Buffer;
  /** Changes with the content; without quotes. */
  etag: string;
}

export class OpenApiDocuments {
  #scheme: Scheme;
  #options: OpenApiOptions;
  #revision = -1;
  #documents = new Map<string, OpenApiDocument>();
  /** The 3.0 documents of group versions, each with the hash of what it was made from. */
  #groups = new Map<string, { hash: string; document: OpenApiDocument }>();

  constructor(scheme: Scheme, options: OpenApiOptions) {
    this.#scheme = scheme;
    this.#options = options;
  }

  /** GET /openapi/v3: where the document of each group version is, with a hash that lets clients keep it. */
  index(): OpenApiDocument {
    return this.#kept('index', () => {
      const paths: Record<string, { serverRelativeURL: string }> = {};
      for (const { group, versions } of this.#scheme.groups()) {
        for (const version of versions) {
          const path = group === '' ? `api/${version}` : `apis/${group}/${version}`;
          paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${this.hash(path)}` };
        }
      }
      return Buffer.from(JSON.stringify({ paths }));
    });
  }

  /** What `?hash=` must be for `path` (`api/v1`, `apis/apps/v1`); upper-case hexadecimal. Cheap: builds no document. */
  hash(path: string): string {
    const place = this.#place(path);
    const kinds = place ? this.#scheme.inGroupVersion(place.group, place.version) : [];
    const hash = createHash('sha512').update(this.#options.version).update(descriptionsDigest());
    for (const each of kinds) {
      hash.update(
        JSON.stringify([
          each.kind,
          each.listKind,
          each.resource,
          each.namespaced,
          each.verbs,
          each.schema === '' ? fingerprint(each) : each.schema,
          each.hasStatus,
          each.scale !== undefined,
          each.subresources ?? null,
        ]),
      );
    }
    return hash.digest('hex').toUpperCase();
  }

  /** GET /openapi/v3/PATH; undefined when there is no such group version. */
  v3(path: string): OpenApiDocument | undefined {
    const place = this.#place(path);
    if (!place) return undefined;
    // A change of another group leaves this document as it is.
    const hash = this.hash(path);
    const kept = this.#groups.get(path);
    if (kept?.hash === hash) return kept.document;
    const { paths, schemas } = this.#describe('v3', this.#scheme.inGroupVersion(place.group, place.version));
    const bytes = Buffer.from(
      JSON.stringify({
        openapi: '3.0.0',
        info: { title: 'Kubernetes', version: this.#options.version },
        paths,
        components: { schemas, securitySchemes: BEARER },
      }),
    );
    const document = documentOf(bytes);
    this.#groups.set(path, { hash, document });
    return document;
  }

  /** GET /openapi/v2 as JSON. */
  v2(): OpenApiDocument {
    return this.#kept('v2', () => Buffer.from(JSON.stringify(this.#v2())));
  }

  /** GET /openapi/v2 as protobuf, for clients that accept OPENAPI_V2_PROTOBUF; sent as OPENAPI_V2_PROTOBUF_ANSWER. */
  v2Protobuf(): OpenApiDocument {
    return this.#kept('v2 protobuf', () => encodeGnostic(this.#v2()));
  }

  #v2(): JsonSchema {
    const { paths, schemas, parameters } = this.#describe('v2', this.#scheme.kinds());
    return {
      swagger: '2.0',
      info: { title: 'Kubernetes', version: this.#options.version },
      paths,
      definitions: schemas,
      parameters,
      securityDefinitions: BEARER,
      security: [{ BearerToken: [] }],
    };
  }

  #describe(
    dialect: Dialect,
    kinds: readonly Kind[],
  ): { paths: JsonSchema; schemas: JsonSchema; parameters: JsonSchema } {
    const set = new SchemaSet(dialect, this.#scheme);
    const parameters = new ParameterSet(dialect);
    const paths: Record<string, JsonSchema> = {};
    for (const kind of kinds) {
      const own = kind.schema === '' ? set.add(customName(kind), custom(kind, set, dialect)) : set.ref(kind.schema);
      const list = definitionOf(kind.group, kind.version, kind.listKind);
      if (list) set.ref(list);
      else if (kind.schema === '') set.add(customName({ ...kind, kind: kind.listKind }), customList(kind, set, own));
      addPaths(paths, kind, own, set, parameters, dialect);
    }
    const sorted = (from: Record<string, JsonSchema>) =>
      Object.fromEntries(Object.entries(from).sort(([a], [b]) => (a < b ? -1 : 1)));
    return { paths: sorted(paths), schemas: sorted(set.schemas), parameters: sorted(parameters.shared) };
  }

  #place(path: string): { group: string; version: string } | undefined {
    const [, version, group, groupVersion] = /^(?:api\/([^/]+)|apis\/([^/]+)\/([^/]+))$/.exec(path) ?? ([] as string[]);
    const place = version ? { group: '', version } : { group: group ?? '', version: groupVersion ?? '' };
    return this.#scheme.hasGroupVersion(place.group, place.version) ? place : undefined;
  }

  #kept(name: string, build: () => Buffer): OpenApiDocument {
    if (this.#revision !== this.#scheme.revision) {
      this.#documents.clear();
      for (const path of this.#groups.keys()) if (!this.#place(path)) this.#groups.delete(path);
      this.#revision = this.#scheme.revision;
    }
    let found = this.#documents.get(name);
    if (!found) {
      found = documentOf(build());
      this.#documents.set(name, found);
    }
    return found;
  }
}

const documentOf = (bytes: Buffer): OpenApiDocument => ({
  bytes,
  etag: createHash('sha512').update(bytes).digest('hex').toUpperCase(),
});

const BEARER = {
  BearerToken: { type: 'apiKey', name: 'authorization', in: 'header', description: 'Bearer Token authentication' },
};

function custom(kind: Kind, set: SchemaSet, dialect: Dialect): JsonSchema {
  const given = kind.custom?.openApi(dialect) ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const { apiVersion, kind: ofKind, metadata } = sharedFields();
  return {
    ...given,
    properties: {
      ...(given['properties'] as JsonSchema | undefined),
      apiVersion: { type: 'string', ...apiVersion },
      kind: { type: 'string', ...ofKind },
      metadata: set.beside(set.ref('meta.ObjectMeta'), metadata),
    },
    'x-kubernetes-group-version-kind': [{ group: kind.group, version: kind.version, kind: kind.kind }],
  };
}

/** The list of a custom kind, which has no definition of its own. */
function customList(kind: Kind, set: SchemaSet, own: JsonSchema): JsonSchema {
  const { apiVersion, kind: ofKind } = sharedFields();
  const words = { '*': kind.kind };
  return {
    type: 'object',
    ...described(typeText(`${kind.group}.${kind.kind}List`)),
    required: ['items'],
    properties: {
      apiVersion: { type: 'string', ...apiVersion },
      items: { type: 'array', ...described(sectionText('shared', '*List', 'items', words)), items: own },
      kind: { type: 'string', ...ofKind },
      metadata: set.beside(set.ref('meta.ListMeta'), described(sectionText('shared', '*List', 'metadata', words))),
    },
    'x-kubernetes-group-version-kind': [{ group: kind.group, version: kind.version, kind: kind.listKind }],
  };
}

/** What every object has. */
function sharedFields() {
  const of = (field: string) => described(sectionText('shared', '*', field));
  return { apiVersion: of('apiVersion'), kind: of('kind'), metadata: of('metadata') };
}

/** Of a custom kind's schema: kinds are made anew when it changes. */
const fingerprints = new WeakMap<Kind, string>();

function fingerprint(kind: Kind): string {
  let found = fingerprints.get(kind);
  if (!found) {
    found = createHash('sha256')
      .update(JSON.stringify(kind.custom?.openApi('v3') ?? null))
      .digest('hex');
    fingerprints.set(kind, found);
  }
  return found;
}

/** `example.com/v1 Widget` → `com.example.v1.Widget`. */
function customName(kind: { group: string; version: string; kind: string }): string {
  return `${kind.group.split('.').reverse().join('.')}.${kind.version}.${kind.kind}`;
}

/** The name of a kind's schema in the documents. */
export function schemaName(kind: Kind): string {
  return kind.schema === '' ? customName(kind) : openApiName(kind.schema);
}
