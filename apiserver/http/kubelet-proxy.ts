// pods/log, exec, attach and portforward: passed through to the kubelet of the pod's node, as the API server's own user.
//
//   client ──TLS──► API server ──TLS, client certificate──► kubelet ──► runtime
//            upgrade: after the 101 bytes are piped both ways, untouched
//            log:     the body is piped as it comes
//
// What the kubelet refuses comes back as a Status.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, type RequestOptions, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError, errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import type { KeyPair } from '../auth/pki.ts';
import type { Registry } from '../registry/registry.ts';
import type { Exchange } from './exchange.ts';
import { rawResponse } from './listener.ts';
import type { Upgrade } from './pipeline.ts';
import { isTrue } from './request-info.ts';

const DEFAULT_KUBELET_PORT = 10250;
const CONNECT_TIMEOUT_MS = 10_000;
/** What is read of an error that a kubelet answers. */
const ERROR_BODY_BYTES = 64 * 1024;

const UPGRADED = new Set(['exec', 'attach', 'portforward']);

/** Address types in the order in which they are tried (upstream's --kubelet-preferred-address-types). */
const ADDRESS_TYPES = ['InternalIP', 'Hostname', 'InternalDNS', 'ExternalDNS', 'ExternalIP'];

export interface KubeletProxyOptions {
  registry: Registry;
  client: KeyPair;
  caPem: string;
}

interface Target {
  host: string;
  port: number;
  path: string;
}

export class KubeletProxy {
  #options: KubeletProxyOptions;
  #agent: Agent;

  constructor(options: KubeletProxyOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxFreeSockets: 16 });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** GET pods/NAME/log. */
  async serveLog(exchange: Exchange): Promise<void> {
    const { info } = exchange;
    if (info.verb !== 'get') throw errors.methodNotAllowedPath();
    const pod = await this.#pod(info.namespace, info.name);
    const container = containerOf(pod, info.query.get('container'));
    const query = new URLSearchParams();
    for (const name of [
      'follow',
      'previous',
      'sinceSeconds',
      'sinceTime',
      'timestamps',
      'tailLines',
      'limitBytes',
      'stream',
    ]) {
      const value = info.query.get(name);
      if (value !== null && value !== '') query.set(name, value);
    }
    checkLogOptions(info.name, query);
    const path = `/containerLogs/${encode(info.namespace)}/${encode(info.name)}/${encode(container)}?${query}`;
    const target = await this.#target(pod, path);
    const answer = await this.#get(target, exchange.signal);
    if (answer.statusCode !== 200) throw await statusOf(answer);
    exchange.startStream(200, answer.headers['content-type'] ?? 'text/plain');
    await pipeBody(answer, exchange);
  }

  /** exec, attach, portforward after an HTTP/1.1 upgrade. Throws before anything was written to the client. */
  async serveUpgrade(upgrade: Upgrade): Promise<void> {
    const { info } = upgrade;
    if (info.group !== '' || info.resource !== 'pods' || !UPGRADED.has(info.subresource)) {
      throw errors.badRequest(`the request path ${JSON.stringify(info.path)} does not support a connection upgrade`);
    }
    const pod = await this.#pod(info.namespace, info.name);
    const place = `${encode(info.namespace)}/${encode(info.name)}`;
    let path: string;
    if (info.subresource === 'portforward') {
      const query = new URLSearchParams();
      for (const port of info.query.getAll('ports')) query.append('port', port);
      path = `/portForward/${place}${query.size > 0 ? `?${query}` : ''}`;
    } else {
      const container = containerOf(pod, info.query.get('container'));
      path = `/${info.subresource}/${place}/${encode(container)}?${streamQuery(info.query, info.subresource)}`;
    }
    const target = await this.#target(pod, path);
    await this.#passThrough(upgrade, target);
  }

  async #pod(namespace: string, name: string): Promise<Pod & KubeObject> {
    const { registry } = this.#options;
    return (await registry.get(registry.kind('', 'pods'), namespace, name)).object as Pod & KubeObject;
  }

  async #target(pod: Pod & KubeObject, path: string): Promise<Target> {
    const { registry } = this.#options;
    const nodeName = pod.spec?.nodeName;
    if (!nodeName) throw errors.badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
    const node = await registry.find<Node & KubeObject>(registry.kind('', 'nodes'), '', nodeName, { anyAge: true });
    if (!node) throw errors.notFound({ group: '', resource: 'nodes' }, nodeName);
    const addresses = node.status?.addresses ?? [];
    for (const type of ADDRESS_TYPES) {
      const found = addresses.find((each) => each.type === type && each.address);
      if (found)
        return {
          host: found.address,
          port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port || DEFAULT_KUBELET_PORT,
          path,
        };
    }
    throw errors.internal(`no preferred addresses found for node ${JSON.stringify(nodeName)}; known addresses: []`);
  }

  #request(target: Target, more: RequestOptions) {
    const { client, caPem } = this.#options;
    return httpsRequest({
      host: target.host,
      port: target.port,
      path: target.path,
      key: client.keyPem,
      cert: client.certificatePem,
      ca: caPem,
      timeout: CONNECT_TIMEOUT_MS,
      ...more,
    });
  }

  #get(target: Target, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = this.#request(target, { agent: this.#agent });
      const onAbort = () => request.destroy();
      signal.addEventListener('abort', onAbort, { once: true });
      request.on('response', (answer) => {
        request.setTimeout(0);
        answer.on('close', () => signal.removeEventListener('abort', onAbort));
        resolve(answer);
      });
      request.on('timeout', () => request.destroy(new Error('timed out')));
      request.on('error', (error) => {
        signal.removeEventListener('abort', onAbort);
        reject(unreachable(target, error));
      });
      request.end();
    });
  }

  #passThrough({ request, socket, head }: Upgrade, target: Target): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { ...request.headers };
      // Our own credentials go on, the client's stay here.
      delete headers.authorization;
      delete headers.host;
      for (const name of Object.keys(headers)) if (name.startsWith('impersonate-')) delete headers[name];
      const onward = this.#request(target, { method: request.method, headers, agent: false });
      socket.on('close', () => onward.destroy());
      onward.on('timeout', () => onward.destroy(new Error('timed out')));
      onward.on('upgrade', (answer, kubelet, kubeletHead) => {
        (kubelet as Socket).setTimeout(0);
        socket.write(upgradeHead(answer));
        join(socket, kubelet, head, kubeletHead);
        resolve();
      });
      onward.on('response', (answer) => {
        statusOf(answer).then(
          (error) => {
            socket.end(rawResponse(error.code, error.reason, JSON.stringify(error.status)));
            resolve();
          },
          (error) => reject(error),
        );
      });
      onward.on('error', (error) => {
        if (socket.writable) reject(unreachable(target, error));
        else resolve();
      });
      onward.end();
    });
  }
}

function unreachable(target: Target, error: Error): ApiError {
  const url = `https://${target.host}:${target.port}${target.path}`;
  return errors.internal(`error dialing backend: ${JSON.stringify(url)}: ${error.message}`);
}

const encode = encodeURIComponent;

/** kubectl's words to the kubelet's. */
function streamQuery(query: URLSearchParams, subresource: string): URLSearchParams {
  const streams = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' };
  const onward = new URLSearchParams();
  for (const [ours, theirs] of Object.entries(streams)) if (isTrue(query.get(ours))) onward.set(theirs, '1');
  if (subresource === 'exec') for (const each of query.getAll('command')) onward.append('command', each);
  const wanted = onward.has('input') || onward.has('output') || onward.has('error');
  if (!wanted) throw errors.badRequest('you must specify at least 1 of stdin, stdout, stderr');
  if (subresource === 'exec' && !onward.has('command'))
    throw errors.badRequest('you must specify at least one command for the container');
  return onward;
}

function containerOf(pod: Pod & KubeObject, asked: string | null): string {
  const name = pod.metadata.name;
  const names = (pod.spec?.containers ?? []).map((each) => each.name);
  const others = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.ephemeralContainers ?? [])].map(
    (each) => each.name,
  );
  if (asked) {
    if (names.includes(asked) || others.includes(asked)) return asked;
    throw errors.badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  if (names.length === 1) return names[0] as string;
  const init = (pod.spec?.initContainers ?? []).map((each) => each.name);
  throw errors.badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${names.join(' ')}]${init.length > 0 ? ` or one of the init containers: [${init.join(' ')}]` : ''}`,
  );
}

function checkLogOptions(pod: string, query: URLSearchParams): void {
  for (const name of ['sinceSeconds', 'tailLines', 'limitBytes']) {
    const value = query.get(name);
    if (value === null) continue;
    if (!/^-?\d{1,15}$/.test(value)) {
      throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
    }
    const least = name === 'tailLines' ? 0 : 1;
    if (Number(value) >= least) continue;
    throw errors.invalid({ group: '', kind: 'PodLogOptions' }, pod, [
      {
        type: 'FieldValueInvalid',
        field: name,
        body: `Invalid value: ${value}: must be greater than ${least === 0 ? 'or equal to 0' : '0'}`,
      },
    ]);
  }
  if (query.has('sinceSeconds') && query.has('sinceTime')) {
    throw errors.invalid({ group: '', kind: 'PodLogOptions' }, pod, [
      {
        type: 'FieldValueForbidden',
        field: '',
        body: 'Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
      },
    ]);
  }
}

/** A kubelet's refusal: its Status when it sent one, else its text in one. */
async function statusOf(answer: IncomingMessage): Promise<ApiError> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > ERROR_BODY_BYTES) break;
    chunks.push(chunk);
  }
  const code = answer.statusCode ?? 500;
  const text = Buffer.concat(chunks).toString('utf8').trim();
  try {
    const status = JSON.parse(text) as { kind?: string; reason?: string; message?: string; details?: object };
    if (status.kind === 'Status')
      return new ApiError(code, status.reason ?? 'InternalError', status.message ?? '', status.details);
  } catch {
    // Plain text, as kubelets answer.
  }
  const reasons: Record<number, string> = {
    400: 'BadRequest',
    403: 'Forbidden',
    404: 'NotFound',
    405: 'MethodNotAllowed',
  };
  return new ApiError(
    code >= 400 ? code : 500,
    reasons[code] ?? 'InternalError',
    text || `the kubelet answered ${code}`,
  );
}

function upgradeHead(answer: IncomingMessage): string {
  const lines = [`HTTP/1.1 101 ${answer.statusMessage || 'Switching Protocols'}`];
  for (let i = 0; i < answer.rawHeaders.length; i += 2)
    lines.push(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Pipes both ways; when one side is gone, so is the other. */
function join(left: Duplex, right: Duplex, leftHead: Buffer, rightHead: Buffer): void {
  if (leftHead.length > 0) right.write(leftHead);
  if (rightHead.length > 0) left.write(rightHead);
  left.pipe(right);
  right.pipe(left);
  const end = () => {
    left.destroy();
    right.destroy();
  };
  left.on('close', end);
  right.on('close', end);
  left.on('error', end);
  right.on('error', end);
}

async function pipeBody(answer: IncomingMessage, exchange: Exchange): Promise<void> {
  const response = exchange.response as ServerResponse;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (exchange.signal.aborted) break;
      exchange.sentBytes += chunk.length;
      if (response.write(chunk)) continue;
      await new Promise<void>((resolve) => {
        const settle = () => {
          response.off('drain', settle);
          response.off('close', settle);
          resolve();
        };
        response.on('drain', settle);
        response.on('close', settle);
      });
    }
  } finally {
    answer.destroy();
    response.end();
  }
}
