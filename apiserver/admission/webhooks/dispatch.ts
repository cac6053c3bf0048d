// Calling the webhooks that a request concerns: mutating ones one after another, each seeing what those before it made of
// the object; validating ones all at once.
//
//   rules (index) ─► namespace selector ─► object selector ─► conditions ─► dry run? ─► call ─► answer ─► patch
//
// A webhook that fails is an internal error, or is passed over when its failurePolicy is Ignore; one that refuses is heard.
import { randomUUID } from 'node:crypto';
import { ApiError, errors } from '../../../api/errors.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Selector } from '../../../api/selectors.ts';
import type { CredentialsOf } from '../../webhooks/credentials.ts';
import { type WebhookClientConfig, WebhookError } from '../../webhooks/client.ts';
import type { AdmissionPlugin, AdmissionRequest, Reinvocation } from '../chain.ts';
import { namespaceOfRequest, objectSelected, writtenNamespace } from '../matching.ts';
import type { PolicyStep, WebhookMetrics, WebhookStep } from '../webhook-metrics.ts';
import type { Candidate, Hook, HookIndex } from './hook-index.ts';
import { patched } from './patched.ts';
import {
  Denial,
  denial,
  readReview,
  REVIEW_VERSIONS,
  type ReviewAnswer,
  type ReviewVersion,
  reviewBody,
} from './review.ts';

export interface WebhookCaller {
  call(
    config: WebhookClientConfig,
    body: string,
    options: { timeoutMs: number; credentials?: CredentialsOf | undefined },
  ): Promise<unknown>;
}

export interface DispatchOptions {
  hooks: HookIndex;
  client: WebhookCaller;
  /** What webhooks are shown of who asks. */
  credentials?: CredentialsOf | undefined;
  /** In the newest state when the cache does not have it. */
  findNamespace(name: string): Promise<KubeObject | undefined>;
  /** `object` of kind `from` as one of `to`, which is another version of it. */
  convert(object: KubeObject, from: Kind, to: Kind): Promise<KubeObject> | KubeObject;
  metrics: WebhookMetrics;
}

/** What of a webhook could not be asked or understood; `code` is that of its HTTP answer, if there was a bad one. */
class CallError extends Error {
  readonly code: number;
  constructor(message: string, code = 503) {
    super(message);
    this.code = code;
  }
}

const SAFE_FOR_DRY_RUN = new Set(['None', 'NoneOnDryRun']);

export function mutatingWebhooks(options: DispatchOptions): AdmissionPlugin {
  const name = 'MutatingAdmissionWebhook';
  return {
    name,
    mutate(request) {
      const candidates = options.hooks.candidates(request);
      if (candidates.length > 0) return mutate(candidates, request, notesOf(request, name), options);
    },
  };
}

export function validatingWebhooks(options: DispatchOptions): AdmissionPlugin {
  return {
    name: 'ValidatingAdmissionWebhook',
    validate(request) {
      const candidates = options.hooks.candidates(request);
      if (candidates.length > 0) return validate(candidates, request, options);
    },
  };
}

/** What is remembered between the two rounds of a mutation. */
interface Notes {
  /** Hooks that said IfNeeded and have been called. */
  called: Set<string>;
  /** Those of them that later changes concern. */
  again: Set<string>;
  /** The object as the last call left it, encoded. */
  last: string;
}

function notesOf(request: AdmissionRequest, plugin: string): Notes {
  const { notes } = request.reinvocation as Reinvocation;
  let found = notes.get(plugin) as Notes | undefined;
  if (!found) notes.set(plugin, (found = { called: new Set(), again: new Set(), last: '' }));
  return found;
}

function callAgain(notes: Notes): void {
  for (const each of notes.called) notes.again.add(each);
  notes.called.clear();
}

async function mutate(
  candidates: readonly Candidate[],
  request: AdmissionRequest,
  notes: Notes,
  options: DispatchOptions,
): Promise<void> {
  const reinvocation = request.reinvocation as Reinvocation;
  const round = reinvocation.isReinvoke ? 1 : 0;
  // The built-in plugins have run again: what they changed concerns all that were asked before.
  if (round === 1 && JSON.stringify(request.object) !== notes.last) callAgain(notes);
  for (const candidate of candidates) {
    const { hook, index } = candidate;
    if (!(await concerns(hook, 'admit', request, options))) continue;
    // A hook that was passed over in the first round is not called in the second.
    if (round === 1 && !notes.again.has(hook.id)) continue;
    const at = `round_${round}_index_${index}`;
    let changed = false;
    const started = performance.now();
    try {
      const answer = await ask(candidate, request, true, options);
      changed = await apply(answer, candidate, request, options);
      annotatePatch(request, hook, at, answer.patch);
      annotateMutation(request, hook, at, changed);
      record(options.metrics, hook, 'admit', request, started, undefined);
    } catch (error) {
      record(options.metrics, hook, 'admit', request, started, error);
      if (!(error instanceof CallError)) throw error;
      if (!hook.ignoresFailure) throw errors.internal(error.message);
      request.annotate?.(`failed-open.mutating.webhook.admission.k8s.io/${at}`, hook.webhook.name);
      annotateMutation(request, hook, at, false);
    }
    if (changed) {
      callAgain(notes);
      reinvocation.wanted = true;
    }
    if (hook.webhook.reinvocationPolicy === 'IfNeeded') notes.called.add(hook.id);
  }
  // Only a second round compares.
  if (round === 0 && reinvocation.wanted) notes.last = JSON.stringify(request.object);
}

function annotateMutation(request: AdmissionRequest, hook: Hook, at: string, mutated: boolean): void {
  request.annotate?.(
    `mutation.webhook.admission.k8s.io/${at}`,
    JSON.stringify({ configuration: hook.configuration, webhook: hook.webhook.name, mutated }),
  );
}

/** As upstream, also of a patch that changed nothing. */
function annotatePatch(request: AdmissionRequest, hook: Hook, at: string, patch: unknown[] | undefined): void {
  if (!patch) return;
  const { configuration, webhook } = hook;
  request.annotate?.(
    `patch.webhook.admission.k8s.io/${at}`,
    JSON.stringify({ configuration, webhook: webhook.name, patch, patchType: 'JSONPatch' }),
    'Request',
  );
}

async function validate(
  candidates: readonly Candidate[],
  request: AdmissionRequest,
  options: DispatchOptions,
): Promise<void> {
  const relevant: Candidate[] = [];
  for (const each of candidates) if (await concerns(each.hook, 'validate', request, options)) relevant.push(each);
  const outcomes = await Promise.allSettled(
    relevant.map(async (candidate, index) => {
      const { hook } = candidate;
      const started = performance.now();
      try {
        const answer = await ask(candidate, request, false, options);
        if (!answer.allowed) throw denial(hook.webhook.name, answer.status);
        record(options.metrics, hook, 'validating', request, started, undefined);
      } catch (error) {
        record(options.metrics, hook, 'validating', request, started, error);
        if (!(error instanceof CallError)) throw error;
        if (!hook.ignoresFailure) throw errors.internal(error.message);
        request.annotate?.(`failed-open.validating.webhook.admission.k8s.io/round_0_index_${index}`, hook.webhook.name);
      }
    }),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** One call, as the metrics tell it. */
function record(
  metrics: WebhookMetrics,
  { webhook: { name }, ignoresFailure }: Hook,
  type: WebhookStep,
  { operation }: AdmissionRequest,
  started: number,
  error: unknown,
): void {
  const seconds = (performance.now() - started) / 1000;
  if (error === undefined) return metrics.called(name, type, operation, false, 200, seconds);
  if (error instanceof CallError) {
    if (ignoresFailure) metrics.failedOpen(name, type);
    else metrics.rejected(name, type, operation, 'calling_webhook_error', error.code);
    return metrics.called(name, type, operation, !ignoresFailure, error.code, seconds);
  }
  const code = error instanceof Denial ? error.code : 0;
  metrics.rejected(name, type, operation, error instanceof Denial ? 'no_error' : 'apiserver_internal_error', code);
  metrics.called(name, type, operation, true, code, seconds);
}

/** Throws ApiError when it cannot be told. */
async function concerns(
  hook: Hook,
  type: PolicyStep,
  request: AdmissionRequest,
  options: DispatchOptions,
): Promise<boolean> {
  if (hook.namespaces && !(await namespaceSelected(hook.namespaces, request, options))) return false;
  if (hook.objects && !objectSelected(hook.objects, request)) return false;
  if (!hook.conditions) return true;
  const started = performance.now();
  const asked = hook.conditions(request);
  const outcome = asked instanceof Promise ? await asked : asked;
  const owner = { name: hook.webhook.name, kind: 'webhook', type } as const;
  options.metrics.conditions(owner, request.operation, outcome, (performance.now() - started) / 1000);
  if (outcome.error !== undefined && !hook.ignoresFailure) {
    const { kind, name } = request;
    throw errors.forbidden({ group: kind.group, resource: kind.resource }, name, outcome.error);
  }
  return outcome.matches && outcome.error === undefined;
}

async function namespaceSelected(
  selector: Selector,
  request: AdmissionRequest,
  options: DispatchOptions,
): Promise<boolean> {
  const name = namespaceOfRequest(request);
  if (!name) return true;
  const namespace = writtenNamespace(request) ?? (await options.findNamespace(name));
  if (!namespace) throw errors.notFound({ group: '', resource: 'namespaces' }, name);
  return selector.matches(namespace.metadata.labels ?? {});
}

/** Throws CallError; ApiError for what does not depend on the failure policy. */
async function ask(
  { hook, kind }: Candidate,
  request: AdmissionRequest,
  isMutating: boolean,
  options: DispatchOptions,
): Promise<ReviewAnswer> {
  const { webhook } = hook;
  const { name } = webhook;
  if (request.dryRun && !SAFE_FOR_DRY_RUN.has(webhook.sideEffects)) {
    throw errors.badRequest(`admission webhook ${JSON.stringify(name)} does not support dry run`);
  }
  const uid = randomUUID();
  const as = (object: KubeObject | undefined) =>
    object && kind !== request.kind && !request.objectKind ? options.convert(object, request.kind, kind) : object;
  const failed = (why: string, code?: number) =>
    new CallError(`failed calling webhook ${JSON.stringify(name)}: ${why}`, code);
  // The first that both know.
  const version = webhook.admissionReviewVersions.find((each) => REVIEW_VERSIONS.includes(each)) as ReviewVersion;
  if (!version) {
    throw failed(
      'could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)',
    );
  }
  let raw: unknown;
  try {
    const body = reviewBody(request, {
      uid,
      version,
      kind,
      object: await as(request.object),
      old: await as(request.old),
    });
    raw = await options.client.call(webhook.clientConfig, body, {
      timeoutMs: hook.timeoutMs,
      credentials: options.credentials,
    });
  } catch (error) {
    const code = error instanceof WebhookError ? error.code : undefined;
    throw failed(`failed to call webhook: ${error instanceof Error ? error.message : String(error)}`, code);
  }
  let answer: ReviewAnswer;
  try {
    answer = readReview(raw, uid, isMutating, version);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw failed(error instanceof Error ? error.message : String(error));
  }
  for (const [key, value] of Object.entries(answer.auditAnnotations)) request.annotate?.(`${name}/${key}`, value);
  for (const text of answer.warnings) request.warn(text);
  return answer;
}

/** Puts what the webhook made of the object in its place; true when something changed. */
async function apply(
  answer: ReviewAnswer,
  { hook, kind }: Candidate,
  request: AdmissionRequest,
  options: DispatchOptions,
): Promise<boolean> {
  const { name } = hook.webhook;
  if (!answer.allowed) throw denial(name, answer.status);
  if (!answer.patch) return false;
  if (!request.object) {
    throw errors.internal(
      `admission webhook ${JSON.stringify(name)} attempted to modify the object, which is not supported for this operation`,
    );
  }
  const isOther = kind !== request.kind && !request.objectKind;
  const before = isOther ? await options.convert(request.object, request.kind, kind) : request.object;
  let result: ReturnType<typeof patched>;
  try {
    result = patched(before, answer.patch, request.objectKind ?? kind, request);
  } catch (error) {
    throw errors.internal(error instanceof Error ? error.message : String(error));
  }
  if (!result) return false;
  request.object = isOther ? await options.convert(result, kind, request.kind) : result;
  return true;
}
