// What a kind is to the server: data plus a few pure functions. One kind, one file in api/kinds; the scheme lists them;
// the generic registry (apiserver/registry) and discovery serve any of them. Nothing here does IO.
import type { CustomSchema } from './custom/port.ts';
import type { FieldError } from './field-error.ts';
import type { KubeObject } from './object.ts';

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch';

export interface Column {
  name: string;
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  /** `name` marks the column that `kubectl get -o name` style clients look for. */
  format?: string;
  description?: string;
  /** 0 is always shown, above 0 only with `-o wide`. */
  priority: number;
}

export type Cell = string | number | boolean | null;

export interface TableContext {
  /** Milliseconds since the epoch, for ages. */
  nowMs: number;
}

/** What a Table says of a row besides its cells: `Completed` is what clients may leave out. */
export interface RowCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
}

/** What a strategy may know of the request. */
export interface StrategyContext {
  nowMs: number;
  /** The name of the authenticated user. */
  user: string;
  uid?: string;
  groups?: readonly string[];
  extra?: Readonly<Record<string, readonly string[]>>;
  /** Takes the text of a `Warning:` header about what the strategy changed. */
  warn?(text: string): void;
}

/** A subresource that is a view of the object itself, through which some of its fields may change. */
export interface SubresourceUpdate<T extends KubeObject> {
  /** Gives back to `object` what this subresource may not change. In place. */
  prepare(object: T, old: T, context: StrategyContext): void;
  /** Everything wrong with the change. */
  validate(object: T, old: T): FieldError[];
}

export interface DeleteDecision {
  /** Seconds until the object may be removed; 0 removes it at once. */
  gracePeriodSeconds: number;
}

/** Where the scale subresource finds its fields; `selector` renders status.selector as a label selector string. */
export interface ScaleMapping<T extends KubeObject> {
  specReplicas(object: T): number;
  setSpecReplicas(object: T, replicas: number): void;
  statusReplicas(object: T): number;
  selector(object: T): string;
  /** Where the replicas are, for managed fields. Default: `spec`, `replicas`. */
  specReplicasPath?: readonly string[];
  /** Why the object has no scale, if it has none. */
  missingReplicas?(object: T): string | undefined;
}

/**
 * How a kind is read and written whose objects are stored in another version, or in several. All served versions of a
 * resource share keys and resourceVersions. Arrays go in and come back in the same order and length; the objects given are
 * the callee's to change. A promise is for conversions that ask somebody else (webhooks); built-in ones answer at once.
 */
export interface Conversion {
  /** The kind under whose keys and in whose version objects are written; may be the kind itself. */
  storage(): Kind;
  /** Objects as they were stored, each in the version that its `apiVersion` says, as objects of this kind. */
  fromStored(objects: KubeObject[]): KubeObject[] | Promise<KubeObject[]>;
  /** Objects of this kind as objects of `storage()`. */
  toStored(objects: KubeObject[]): KubeObject[] | Promise<KubeObject[]>;
}

export interface Kind<T extends KubeObject = KubeObject> {
  /** Empty for core. */
  group: string;
  version: string;
  kind: string;
  listKind: string;
  /** Plural, lower case: the path segment. */
  resource: string;
  singular: string;
  shortNames: readonly string[];
  categories: readonly string[];
  namespaced: boolean;
  verbs: readonly Verb[];
  /** The definition in api/schema: `core.v1.Pod`; '' for custom resources. */
  schema: string;
  /** Instead of a definition, of a custom resource with a schema. */
  custom?: CustomSchema;

  columns: readonly Column[];
  /** One cell per column. Ages are rendered as kubectl's: `5m`, `<unknown>`. */
  cells(object: T, context: TableContext): Cell[];

  rowConditions?(object: T): readonly RowCondition[];

  /** Fields that a field selector may name besides metadata.name and metadata.namespace; the value as a string. */
  selectableFields?: Readonly<Record<string, (object: T) => string>>;

  /** Fills defaults in place; idempotent; runs after decoding and after reading a patch result. */
  setDefaults?(object: T): void;

  /** For a kind that is stored in another version, or whose stored objects may be in several. */
  conversion?: Conversion;

  /** True when the object has a status subresource: the main resource then ignores status and the reverse. */
  hasStatus: boolean;
  /** True when a new object keeps the status that comes with it. */
  statusOnCreate?: boolean;
  /** True when labels, annotations, owners and finalizers cannot change with a status (metav1.ResetObjectMetaForStatus). */
  statusKeepsMetadata?: boolean;
  scale?: ScaleMapping<T>;
  /** Subresources besides status and scale that discovery must list: `log`, `exec`, `binding`, ... */
  subresources?: readonly { name: string; kind: string; group?: string; version?: string; verbs: readonly string[] }[];

  /** Subresources that are read, updated and patched as the object itself: `approval`, `resize`, ... Discovery lists them. */
  updates?: Readonly<Record<string, SubresourceUpdate<T>>>;

  /** True when `metadata.generation` counts changes of spec. */
  hasGeneration: boolean;
  /** True when PUT to a name that does not exist creates it. */
  allowCreateOnUpdate?: boolean;
  /** True when an update without resourceVersion is taken as unconditional. Default true. */
  allowUnconditionalUpdate?: boolean;

  /** Clears or sets what the client may not choose, before validation of a create. In place. */
  prepareForCreate?(object: T, context: StrategyContext): void;
  /** The same for an update of the main resource: `old` is the stored object, never mutated. */
  prepareForUpdate?(object: T, old: T, context: StrategyContext): void;
  /** The same for the status subresource; the registry has already restored spec and metadata from `old`. */
  prepareForStatusUpdate?(object: T, old: T, context: StrategyContext): void;

  /** Everything wrong with the object (metadata excluded: the registry validates it). */
  validate(object: T): FieldError[];
  /** Everything wrong with the change; includes `validate`'s rules where they still apply. */
  validateUpdate(object: T, old: T): FieldError[];
  validateStatusUpdate?(object: T, old: T): FieldError[];
  /** How metadata.name is checked; returns upstream's messages. Default: a DNS-1123 subdomain. */
  validateName?(name: string, prefix: boolean): string[];
  /** `Warning:` header texts for a create, or for an update of `old`. */
  warnings?(object: T, old?: T): string[];

  /**
   * Dependents stay when a deletion does not say what becomes of them: so it was before there was a garbage collector.
   * `warning` is told to who does not say.
   */
  orphansByDefault?: { warning?: string };
  /** What a first request to delete makes of the object before it is decided whether it can go at once. In place. */
  prepareForDelete?(object: T, context: StrategyContext): void;
  /** Graceful deletion (Pods): undefined means delete at once. `requested` is DeleteOptions.gracePeriodSeconds. */
  gracefulDelete?(object: T, requested: number | undefined): DeleteDecision;

  /** Of a definition that is being deleted: nothing new is created, and discovery offers only what takes away. */
  isTerminating?: boolean;
  /** Of a version that should not be used any more: a `Warning:` on every request. */
  deprecation?: string;

  /** Seconds after which the store may drop the object (Events: 3600). */
  ttlSeconds?: number;
}
