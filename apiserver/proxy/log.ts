// pods/log: the kubelet's log passed through as it comes.
import type { IncomingMessage } from 'node:http';
import { ApiError, errors } from '../../api/errors.ts';
import type { FieldError } from '../../api/field-error.ts';
import type { Exchange } from '../http/exchange.ts';
import { isTrue } from '../http/request-info.ts';
import { containerOf, type KubeletAccess, type KubeletPlace, kubeletOfPod, readPod } from './kubelets.ts';
import { dialError, type Outbound } from './outbound.ts';

/** What is read of an error that a kubelet answers. */
const ERROR_BODY_BYTES = 64 * 1024;
const STREAMS = ['All', 'Stderr', 'Stdout'];

export async function serveLog(access: KubeletAccess, outbound: Outbound, exchange: Exchange): Promise<void> {
  const { info } = exchange;
  if (info.verb !== 'get') throw errors.methodNotAllowedPath();
  const query = logQuery(info.name, info.query);
  const pod = await readPod(access.registry, info.namespace, info.name);
  const container = containerOf(pod, info.query.get('container'));
  // A pod without a node has logged nothing.
  if (!pod.spec?.nodeName) {
    exchange.startRaw(204, {}).end();
    return;
  }
  const kubelet = await kubeletOfPod(access, pod);
  if (isTrue(info.query.get('insecureSkipTLSVerifyBackend'))) kubelet.tls.verify = false;
  const place = [info.namespace, info.name, container].map(encodeURIComponent).join('/');
  const path = `/containerLogs/${place}${query.size > 0 ? `?${query}` : ''}`;
  const answer = await ask(outbound, { ...kubelet, path }, exchange.signal);
  if (answer.statusCode !== 200) throw await refusal(answer, info.name);
  exchange.startStream(200, answer.headers['content-type'] ?? 'text/plain');
  await passOn(answer, exchange);
}

function ask(outbound: Outbound, to: KubeletPlace & { path: string }, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = outbound.request({ ...to, method: 'GET', headers: { host: `${to.host}:${to.port}` } });
    const onAbort = () => request.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    request.on('close', () => signal.removeEventListener('abort', onAbort));
    request.on('response', resolve);
    request.on('error', (error) => {
      const url = `${to.scheme}://${to.host}:${to.port}${to.path}`;
      reject(new ApiError(500, '', `Get ${JSON.stringify(url)}: ${dialError(to, error)}`));
    });
    request.end();
  });
}

/** The options that go on to the kubelet. Throws 400 for what cannot be read and 422 for what makes no sense. */
export function logQuery(pod: string, asked: URLSearchParams): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ['follow', 'previous', 'timestamps']) if (isTrue(asked.get(name))) query.set(name, 'true');
  const problems: FieldError[] = [];
  for (const name of ['sinceSeconds', 'tailLines', 'limitBytes']) {
    const value = asked.get(name);
    if (!value) continue;
    if (!/^[+-]?\d{1,18}$/.test(value)) {
      throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
    }
    query.set(name, value);
    const least = name === 'tailLines' ? 0 : 1;
    if (Number(value) >= least) continue;
    const bound = least === 0 ? 'or equal to 0' : '0';
    problems.push({
      type: 'FieldValueInvalid',
      field: name,
      body: `Invalid value: ${Number(value)}: must be greater than ${bound}`,
    });
  }
  const sinceTime = asked.get('sinceTime');
  if (sinceTime) {
    if (
      !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(sinceTime) ||
      Number.isNaN(Date.parse(sinceTime))
    ) {
      const layout = '2006-01-02T15:04:05Z07:00';
      throw errors.badRequest(
        `parsing time ${JSON.stringify(sinceTime)} as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(sinceTime)} as "2006"`,
      );
    }
    query.set('sinceTime', sinceTime);
  }
  const forbidden = (body: string) => problems.push({ type: 'FieldValueForbidden', field: '', body });
  if (query.has('sinceSeconds') && sinceTime) {
    forbidden('Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified');
  }
  const stream = asked.get('stream');
  if (stream) {
    if (!STREAMS.includes(stream)) {
      const supported = STREAMS.map((each) => JSON.stringify(each)).join(', ');
      problems.push({
        type: 'FieldValueNotSupported',
        field: 'stream',
        body: `Unsupported value: ${JSON.stringify(stream)}: supported values: ${supported}`,
      });
    } else if (stream !== 'All') {
      query.set('stream', stream);
      if (query.has('tailLines')) {
        forbidden('Forbidden: `tailLines` and specific `stream` are mutually exclusive for now');
      }
    }
  }
  if (problems.length > 0) throw errors.invalid({ group: '', kind: 'PodLogOptions' }, pod, problems);
  return query;
}

/** A kubelet's refusal: its Status when it sent one, else its text in one. */
async function refusal(answer: IncomingMessage, pod: string): Promise<ApiError> {
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
  if (code === 400) return errors.badRequest(text);
  if (code === 404) {
    const message = `the server could not find the requested resource ( pods/log ${pod})`;
    return new ApiError(404, 'NotFound', message, {
      name: pod,
      kind: 'pods/log',
      causes: [{ reason: 'UnexpectedServerResponse', message: text }],
    });
  }
  if (code === 500 || code < 400) return errors.internal(text || `the kubelet answered ${code}`);
  const reasons: Record<number, string> = {
    401: 'Unauthorized',
    403: 'Forbidden',
    405: 'MethodNotAllowed',
    422: 'Invalid',
  };
  return new ApiError(code, reasons[code] ?? '', text || `the kubelet answered ${code}`);
}

/** Ends quietly when the client leaves; a log that broke off is not ended as if it were complete. */
async function passOn(answer: IncomingMessage, exchange: Exchange): Promise<void> {
  const { response } = exchange;
  let isComplete = false;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (exchange.signal.aborted) break;
      exchange.sentBytes += chunk.length;
      if ((response as { write(chunk: Buffer): boolean }).write(chunk)) continue;
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
    isComplete = true;
  } catch {
    // The kubelet broke off.
  } finally {
    answer.destroy();
    if (isComplete || exchange.signal.aborted) response.end();
    else response.destroy();
  }
}
