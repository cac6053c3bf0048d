// One request's way into the audit log: what the exchange hands over while it runs, and the event of each stage. Bodies are kept
// as JSON text, taken when they are seen: objects change later.
import type { Identity } from '../auth/identity.ts';
import type { RequestInfo } from '../http/request-info.ts';
import type { Stage, Verdict } from './policy.ts';

export interface AuditEvent {
  level: string;
  stage: Stage;
  /** One JSON object. */
  json: string;
}

export interface RecordOptions {
  verdict: Verdict;
  auditId: string;
  info: RequestInfo;
  requestUri: string;
  user: Identity | undefined;
  sourceIps: readonly string[];
  userAgent: string | undefined;
  receivedMs: number;
  annotations: ReadonlyMap<string, string>;
  emit(event: AuditEvent): void;
  /** Milliseconds with fractions, since the epoch. */
  now(): number;
}

const MAX_USER_AGENT = 1024;

export class AuditRecord {
  readonly keepsRequest: boolean;
  readonly keepsResponse: boolean;
  impersonated: Identity | undefined;
  #options: RecordOptions;
  #reference: Record<string, unknown> | undefined;
  #requestJson: string | undefined;
  #responseJson: string | undefined;
  #status: object | undefined;

  constructor(options: RecordOptions) {
    this.#options = options;
    const { level } = options.verdict;
    const { isResource } = options.info;
    this.keepsRequest = isResource && (level === 'Request' || level === 'RequestResponse');
    this.keepsResponse = isResource && level === 'RequestResponse';
    if (isResource) this.#reference = referenceOf(options.info);
  }

  /** The object that a client sent, decoded. What it says of itself completes the reference. */
  requestObject(object: object): void {
    const meta = (object as { metadata?: Record<string, string> }).metadata;
    const reference = this.#reference;
    if (reference && meta) {
      for (const name of ['namespace', 'name', 'uid', 'resourceVersion']) reference[name] ??= meta[name];
    }
    if (this.keepsRequest) this.#requestJson = this.#json(object);
  }

  /** A patch, as it came. */
  requestBody(body: Uint8Array): void {
    if (this.keepsRequest && body.length > 0) this.#requestJson = this.#jsonOf(body);
  }

  /** The whole answer, or the Status of an error. */
  response(code: number, body: Uint8Array): void {
    if (code >= 400) {
      try {
        this.#status = JSON.parse(Buffer.from(body).toString()) as object;
      } catch {
        // Not a Status: its code says enough.
      }
    }
    if (this.keepsResponse) this.#responseJson = this.#jsonOf(body);
  }

  stage(stage: Stage, code?: number): void {
    const { verdict, emit, receivedMs, now } = this.#options;
    if (verdict.omitStages.has(stage)) return;
    const nowMs = now();
    emit({ level: verdict.level, stage, json: this.#event(stage, code, receivedMs, nowMs) });
  }

  #event(stage: Stage, code: number | undefined, receivedMs: number, nowMs: number): string {
    const { verdict, auditId, requestUri, info, user, sourceIps, userAgent, annotations } = this.#options;
    const head = JSON.stringify({
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: verdict.level,
      auditID: auditId,
      stage,
      requestURI: requestUri,
      verb: info.verb,
      user: userOf(user),
      ...(this.impersonated && { impersonatedUser: userOf(this.impersonated) }),
      ...(sourceIps.length > 0 && { sourceIPs: sourceIps }),
      ...(userAgent && { userAgent: userAgent.slice(0, MAX_USER_AGENT) }),
      ...(this.#reference && { objectRef: this.#reference }),
      ...(code !== undefined && { responseStatus: this.#responseStatus(code) }),
    });
    const isLast = stage === 'ResponseComplete' || stage === 'Panic';
    const tail = JSON.stringify({
      requestReceivedTimestamp: micros(receivedMs),
      stageTimestamp: micros(nowMs),
      ...(annotations.size > 0 && stage !== 'RequestReceived' && { annotations: Object.fromEntries(annotations) }),
    });
    const bodies = [
      ...(this.#requestJson && stage !== 'RequestReceived' ? [`"requestObject":${this.#requestJson}`] : []),
      ...(this.#responseJson && isLast ? [`"responseObject":${this.#responseJson}`] : []),
    ];
    return [head.slice(0, -1), ...bodies, tail.slice(1)].join(',');
  }

  #responseStatus(code: number): object {
    const status = this.#status as { status?: string; message?: string; reason?: string; details?: object } | undefined;
    if (!status) return { metadata: {}, code };
    const { status: outcome, message, reason, details } = status;
    return { metadata: {}, status: outcome, message, reason, details, code };
  }

  #jsonOf(body: Uint8Array): string | undefined {
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
    try {
      return this.#json(JSON.parse(text) as object);
    } catch {
      // YAML or protobuf: kept as a text, so that the line stays JSON.
      return JSON.stringify(text);
    }
  }

  #json(object: object): string {
    if (!this.#options.verdict.omitManagedFields) return JSON.stringify(object);
    const items = (object as { items?: object[] }).items;
    if (Array.isArray(items)) return JSON.stringify({ ...object, items: items.map(withoutManagers) });
    return JSON.stringify(withoutManagers(object));
  }
}

function withoutManagers(object: object): object {
  const { metadata } = object as { metadata?: { managedFields?: unknown } };
  if (!metadata?.managedFields) return object;
  const { managedFields: _, ...rest } = metadata;
  return { ...object, metadata: rest };
}

/** Fields without a value are left out by JSON. */
function referenceOf(info: RequestInfo): Record<string, unknown> {
  const or = (text: string) => (text === '' ? undefined : text);
  return {
    resource: info.resource,
    namespace: or(info.namespace),
    name: or(info.name),
    uid: undefined,
    apiGroup: or(info.group),
    apiVersion: or(info.version),
    resourceVersion: undefined,
    subresource: or(info.subresource),
  };
}

function userOf(user: Identity | undefined): object {
  if (!user) return {};
  const { name, uid, groups, extra } = user;
  return { username: name, ...(uid && { uid }), groups, ...(extra && { extra }) };
}

/** RFC 3339 with microseconds. */
export function micros(ms: number): string {
  const whole = Math.floor(ms);
  const rest = String(Math.floor((ms - whole) * 1000)).padStart(3, '0');
  return `${new Date(whole).toISOString().slice(0, -1)}${rest}Z`;
}
