// admission.k8s.io AdmissionReview, v1 or v1beta1 (the same message, its answers less strictly read): the question that a webhook is sent, and what of its answer may be believed. Pure.
import { ApiError, errors } from '../../../api/errors.ts';
import type { Kind } from '../../../api/kind.ts';
import { apiVersionOf, type GroupVersionKind, type KubeObject } from '../../../api/object.ts';
import { gvkOf, gvrOf } from '../../../api/scheme.ts';
import type { Status } from '../../../api/types/meta.ts';
import type { AdmissionRequest } from '../chain.ts';

export type ReviewVersion = 'v1' | 'v1beta1';
export const REVIEW_VERSIONS: readonly string[] = ['v1', 'v1beta1'] satisfies ReviewVersion[];

export interface ReviewQuestion {
  uid: string;
  version?: ReviewVersion;
  /** In which the webhook wants the objects. */
  kind: Kind;
  object: KubeObject | undefined;
  old: KubeObject | undefined;
}

/** The body of the request. Members in Go's order; absent objects are `null`. */
export function reviewBody(
  request: AdmissionRequest,
  { uid, kind, object, old, version = 'v1' }: ReviewQuestion,
): string {
  const { subresource, name, namespace, user } = request;
  const requestKind = request.objectKind ?? gvkOf(request.kind);
  const shownKind = request.objectKind ?? gvkOf(kind);
  return JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: `admission.k8s.io/${version}`,
    request: {
      uid,
      kind: shownKind,
      resource: gvrOf(kind),
      ...(subresource && { subResource: subresource }),
      requestKind,
      requestResource: gvrOf(request.kind),
      ...(subresource && { requestSubResource: subresource }),
      ...(name && { name }),
      ...(namespace && { namespace }),
      operation: request.operation,
      userInfo: {
        username: user.name,
        ...(user.uid && { uid: user.uid }),
        groups: user.groups,
        ...(user.extra && { extra: user.extra }),
      },
      object: shown(object, shownKind),
      oldObject: shown(old, shownKind),
      dryRun: request.dryRun,
      options: request.options?.() ?? null,
    },
  });
}

function shown(object: KubeObject | undefined, kind: GroupVersionKind): object | null {
  if (!object) return null;
  const { kind: _k, apiVersion: _a, ...rest } = object;
  return { kind: kind.kind, apiVersion: apiVersionOf(kind), ...rest };
}

export interface ReviewAnswer {
  allowed: boolean;
  status: Partial<Status> & { code?: number };
  /** A JSON patch, decoded; undefined when there is nothing to do. */
  patch: unknown[] | undefined;
  warnings: readonly string[];
  auditAnnotations: Readonly<Record<string, string>>;
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Throws Error with upstream's words for what is no answer to the question; an ApiError for a patch that is none. */
export function readReview(
  review: unknown,
  uid: string,
  isMutating: boolean,
  version: ReviewVersion = 'v1',
): ReviewAnswer {
  const refuse = (why: string) => new Error(`received invalid webhook response: ${why}`);
  if (!isObject(review)) throw new Error("couldn't get version/kind; json parse error: the answer is no object");
  if (version === 'v1beta1') return readOld(review, isMutating, refuse);
  const gvk = `${review.apiVersion ?? ''}, Kind=${review.kind ?? ''}`;
  if (review.kind === undefined || review.apiVersion === undefined) {
    throw new Error(`Object 'Kind' is missing in '${JSON.stringify(review).slice(0, 256)}'`);
  }
  if (gvk !== 'admission.k8s.io/v1, Kind=AdmissionReview') {
    throw refuse(`expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${gvk}`);
  }
  const { response } = review;
  if (!isObject(response)) throw refuse('webhook response was absent');
  if (response.uid !== uid) {
    throw refuse(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid ?? '')}`);
  }
  const patch = typeof response.patch === 'string' ? response.patch : '';
  const patchType = response.patchType;
  if (!isMutating) {
    if (patch !== '') throw refuse('validating webhook may not return response.patch');
    if (patchType !== undefined && patchType !== null) {
      throw refuse('validating webhook may not return response.patchType');
    }
  } else if (patch !== '' && (patchType === undefined || patchType === null)) {
    throw refuse('webhook returned response.patch but not response.patchType');
  } else if (patch === '' && patchType !== undefined && patchType !== null) {
    throw refuse('webhook returned response.patchType but not response.patch');
  } else if (patch !== '' && patchType !== 'JSONPatch') {
    throw patchType === ''
      ? refuse(`webhook returned invalid response.patchType of ${JSON.stringify(patchType)}`)
      : new Error(`unsupported patch type ${JSON.stringify(patchType)}`);
  }
  return answerOf(response, patch);
}

/** Before v1 neither the uid nor the type of the patch had to be there, and validating webhooks' patches were ignored. */
function readOld(review: Json, isMutating: boolean, refuse: (why: string) => Error): ReviewAnswer {
  const { response } = review;
  if (!isObject(response)) throw refuse('webhook response was absent');
  return answerOf(response, isMutating && typeof response.patch === 'string' ? response.patch : '');
}

function answerOf(response: Json, patch: string): ReviewAnswer {
  return {
    allowed: response.allowed === true,
    status: isObject(response.status) ? (response.status as ReviewAnswer['status']) : {},
    patch: patch === '' ? undefined : decodePatch(patch),
    warnings: Array.isArray(response.warnings)
      ? response.warnings.filter((each): each is string => typeof each === 'string')
      : [],
    auditAnnotations: isObject(response.auditAnnotations)
      ? Object.fromEntries(
          Object.entries(response.auditAnnotations).filter(
            (each): each is [string, string] => typeof each[1] === 'string',
          ),
        )
      : {},
  };
}

function decodePatch(base64: string): unknown[] | undefined {
  let patch: unknown;
  try {
    patch = JSON.parse(Buffer.from(base64, 'base64').toString('utf8'));
  } catch (error) {
    throw errors.internal(error instanceof Error ? error.message : String(error));
  }
  if (!Array.isArray(patch)) {
    throw errors.internal('json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  }
  return patch.length > 0 ? patch : undefined;
}

/** What a webhook says no to. */
export class Denial extends ApiError {}

/** The Status of a refusal: the webhook's own, never below 400, with its name in front. */
export function denial(webhook: string, status: ReviewAnswer['status']): Denial {
  const by = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const message = status.message
    ? `${by}: ${status.message}`
    : status.reason
      ? `${by}: ${status.reason}`
      : `${by} without explanation`;
  const code = typeof status.code === 'number' && status.code >= 400 && status.code <= 599 ? status.code : 400;
  const error = new Denial(code, status.reason ?? '', message, status.details);
  if (!status.reason) delete (error.status as { reason?: string }).reason;
  return error;
}
