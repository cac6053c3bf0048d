// A CustomResourceDefinition as kinds: one for each version, which everything else treats as built-in ones.
import { deepEqual } from '../equality.ts';
import type { Conversion, Kind, Verb } from '../kind.ts';
import { apiVersionOf, type KubeObject } from '../object.ts';
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from '../types/apiextensions-v1.ts';
import { customTable } from './columns.ts';
import { applyDefaults } from './defaults.ts';
import { publishedSchema } from './open-api.ts';
import type { CustomSchema } from './port.ts';
import { pruneObject } from './prune.ts';
import { type RuleObserver, ruleValidator } from './rules.ts';
import { customScale, dottedPath, valueAt } from './scale.ts';
import { customShape } from './shape.ts';
import { customStrategy } from './strategy.ts';
import { type Json, type Structural, structuralOf } from './structural.ts';

const ALL_VERBS: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/**
 * Turns objects of a definition into another of its versions, by whatever way it names; called only with objects that
 * are of another version. The objects are its own to change.
 */
export type ConvertVersions = (objects: KubeObject[], apiVersion: string) => KubeObject[] | Promise<KubeObject[]>;

export interface CustomKinds {
  /** In the order of the definition, the served ones only. */
  served: Kind[];
  /** The one that is written; it need not be served. */
  storage: Kind;
}

/** The strategy None: nothing changes but the name of the version. */
export const renameVersion: ConvertVersions = (objects, apiVersion) => {
  for (const each of objects) each.apiVersion = apiVersion;
  return objects;
};

/** Names are those that were accepted. Throws TypeError for a definition without a storage version. */
export function customKinds(
  definition: CustomResourceDefinition,
  convert: ConvertVersions,
  observer?: RuleObserver,
): CustomKinds {
  const all = new Map<string, Kind>();
  const storageName = definition.spec.versions.find((each) => each.storage)?.name;
  if (storageName === undefined) throw new TypeError(`${definition.metadata.name} has no storage version`);
  const storageOf = () => all.get(storageName) as Kind;
  for (const version of definition.spec.versions) {
    all.set(version.name, customKind(definition, version, convert, storageOf, observer));
  }
  const served = definition.spec.versions.filter((each) => each.served).map((each) => all.get(each.name) as Kind);
  return { served, storage: storageOf() };
}

function customKind(
  definition: CustomResourceDefinition,
  version: CustomResourceDefinitionVersion,
  convert: ConvertVersions,
  storage: () => Kind,
  observer: RuleObserver | undefined,
): Kind {
  const { spec, metadata, status } = definition;
  const names = status?.acceptedNames?.kind ? status.acceptedNames : spec.names;
  const schema = rootSchema(definition, version);
  const { subresources } = version;
  const isTerminating = metadata.deletionTimestamp !== undefined;
  const apiVersion = apiVersionOf({ group: spec.group, version: version.name });
  const selectable = Object.fromEntries(
    (version.selectableFields ?? []).map(({ jsonPath }) => {
      const path = dottedPath(jsonPath);
      return [path.join('.'), (object: KubeObject) => textOf(valueAt(object, path))];
    }),
  );
  return {
    group: spec.group,
    version: version.name,
    kind: spec.names.kind,
    listKind: names.listKind ?? `${names.kind}List`,
    resource: spec.names.plural,
    singular: names.singular ?? names.kind.toLowerCase(),
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    namespaced: spec.scope === 'Namespaced',
    verbs: ALL_VERBS,
    ...(isTerminating && { isTerminating }),
    schema: '',
    custom: customSchema(schema, version),
    ...customTable(version.additionalPrinterColumns),
    selectableFields: selectable,
    setDefaults: (object) => applyDefaults(object, schema),
    hasStatus: subresources?.status !== undefined,
    ...(subresources?.scale && { scale: customScale(subresources.scale) }),
    hasGeneration: false,
    allowUnconditionalUpdate: false,
    ...customStrategy(schema, subresources, ruleValidator(schema, observer)),
    ...(version.deprecated && {
      deprecation: version.deprecationWarning ?? `${apiVersion} ${spec.names.kind} is deprecated`,
    }),
    conversion: versionConversion(apiVersion, schema, convert, storage),
  };
}

function rootSchema({ spec }: CustomResourceDefinition, { schema }: CustomResourceDefinitionVersion): Structural {
  const root = structuralOf(schema?.openAPIV3Schema ?? { type: 'object' });
  return spec.preserveUnknownFields || !schema?.openAPIV3Schema ? { ...root, preserve: true } : root;
}

function customSchema(schema: Structural, version: CustomResourceDefinitionVersion): CustomSchema {
  const published = version.schema?.openAPIV3Schema;
  const selectable = (version.selectableFields ?? []).map(({ jsonPath }) => ({
    fieldPath: jsonPath.replace(/^\./, ''),
  }));
  return {
    prune: (object) => pruneObject(object, schema).map((path) => `unknown field ${JSON.stringify(path)}`),
    shape: customShape(schema),
    openApi: (dialect) => ({
      ...publishedSchema(published, dialect),
      ...(selectable.length > 0 && { 'x-kubernetes-selectable-fields': selectable }),
    }),
  };
}

function versionConversion(
  apiVersion: string,
  schema: Structural,
  convert: ConvertVersions,
  storage: () => Kind,
): Conversion {
  /** Pruned and completed by the schema of today: that of yesterday may have been another. */
  const settle = (objects: KubeObject[]): KubeObject[] => {
    for (const each of objects) {
      pruneObject(each as unknown as Json, schema);
      applyDefaults(each, schema);
    }
    return objects;
  };
  return {
    storage,
    fromStored(objects) {
      const converted = convertSome(objects, apiVersion, convert);
      return converted instanceof Promise ? converted.then(settle) : settle(converted);
    },
    toStored(objects) {
      const target = storage();
      const prune = (all: KubeObject[]) => {
        for (const each of all) target.custom?.prune(each as unknown as Json);
        return all;
      };
      const converted = convertSome(objects, apiVersionOf(target), convert);
      return converted instanceof Promise ? converted.then(prune) : prune(converted);
    },
  };
}

/** Asks for those that are of another version, and puts them back in their places. */
function convertSome(
  objects: KubeObject[],
  apiVersion: string,
  convert: ConvertVersions,
): KubeObject[] | Promise<KubeObject[]> {
  const others = objects.filter((each) => each.apiVersion !== apiVersion);
  if (others.length === 0) return objects;
  // Found before conversion, which may rename them in place.
  const isOther = new Set(others);
  const result = convert(others, apiVersion);
  const place = (converted: KubeObject[]) => {
    let next = 0;
    return objects.map((each) => (isOther.has(each) ? (converted[next++] as KubeObject) : each));
  };
  return result instanceof Promise ? result.then(place) : place(result);
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** True when a change of the definition changes what is served. */
export function servesOtherwise(old: CustomResourceDefinition, now: CustomResourceDefinition): boolean {
  return (
    !deepEqual(old.spec, now.spec) ||
    !deepEqual(old.status?.acceptedNames, now.status?.acceptedNames) ||
    (old.metadata.deletionTimestamp === undefined) !== (now.metadata.deletionTimestamp === undefined)
  );
}
