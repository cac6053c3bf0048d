// How the versions of a custom resource are converted: None, or a webhook that is named completely.
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isDns1035Label } from '../names.ts';
import type { CustomResourceConversion, WebhookClientConfig } from '../types/apiextensions-v1.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

const REVIEW_VERSIONS = ['v1', 'v1beta1'];

export function* validateConversion(
  conversion: CustomResourceConversion | undefined,
  field: string,
  options: { allowInvalidCaBundle: boolean },
): Iterable<FieldError> {
  if (!conversion) return;
  const { strategy, webhook } = conversion;
  const config = `${field}.webhookClientConfig`;
  if (!strategy) yield required(`${field}.strategy`);
  else if (strategy !== 'None' && strategy !== 'Webhook') {
    yield notSupported(`${field}.strategy`, strategy, ['None', 'Webhook']);
  }
  if (strategy !== 'Webhook') {
    if (webhook?.clientConfig) yield forbidden(config, 'should not be set when strategy is not set to Webhook');
    if ((webhook?.conversionReviewVersions?.length ?? 0) > 0) {
      yield forbidden(`${field}.conversionReviewVersions`, 'should not be set when strategy is not set to Webhook');
    }
    return;
  }
  if (!webhook?.clientConfig) yield required(config, 'required when strategy is set to Webhook');
  else yield* validateClientConfig(webhook.clientConfig, config, options);
  yield* validateReviewVersions(webhook?.conversionReviewVersions ?? [], `${field}.conversionReviewVersions`);
}

function* validateClientConfig(
  { url, service, caBundle }: WebhookClientConfig,
  field: string,
  options: { allowInvalidCaBundle: boolean },
): Iterable<FieldError> {
  if ((url === undefined) === (service === undefined)) {
    yield required(field, 'exactly one of url or service is required');
  } else if (url !== undefined) yield* validateUrl(url, `${field}.url`);
  else if (service) {
    if (!service.name) yield required(`${field}.service.name`, 'service name is required');
    if (!service.namespace) yield required(`${field}.service.namespace`, 'service namespace is required');
    const port = service.port ?? 443;
    if (port < 1 || port > 65535) {
      const why = 'port is not valid: must be between 1 and 65535, inclusive';
      yield invalid(`${field}.service.port`, port, why);
    }
    if (service.path !== undefined) yield* validatePath(service.path, `${field}.service.path`);
  }
  if (caBundle && !options.allowInvalidCaBundle) {
    const pem = Buffer.from(caBundle, 'base64').toString('utf8');
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
      const why = 'unable to load root certificates: unable to parse bytes as PEM block';
      yield invalid(`${field}.caBundle`, caBundle, why);
    }
  }
}

const URL_FORM = '; desired format: https://host[/path]';

function* validateUrl(text: string, field: string): Iterable<FieldError> {
  if (!URL.canParse(text)) {
    yield required(field, `url must be a valid URL: parse ${JSON.stringify(text)}: invalid URI for request${URL_FORM}`);
    return;
  }
  const url = new URL(text);
  if (url.protocol !== 'https:') {
    yield invalid(field, url.protocol.slice(0, -1), `'https' is the only allowed URL scheme${URL_FORM}`);
  }
  if (url.host === '') yield invalid(field, url.host, `host must be specified${URL_FORM}`);
  if (url.username !== '' || url.password !== '') {
    yield invalid(field, url.username, 'user information is not permitted in the URL');
  }
  if (url.hash !== '') yield invalid(field, url.hash.slice(1), 'fragments are not permitted in the URL');
  if (url.search !== '') {
    yield invalid(field, url.search.slice(1), 'query parameters are not permitted in the URL');
  }
}

function* validatePath(path: string, field: string): Iterable<FieldError> {
  if (path === '' || path === '/') return;
  if (!path.startsWith('/')) yield invalid(field, path, `must start with a '/'`);
  const segments = path.replace(/^\//, '').replace(/\/$/, '').split('/');
  for (const [i, each] of segments.entries()) {
    if (each === '') yield invalid(field, path, `segment[${i}] may not be empty`);
  }
}

function* validateReviewVersions(versions: readonly string[], field: string): Iterable<FieldError> {
  if (versions.length === 0) {
    yield required(field);
    return;
  }
  const seen = new Set<string>();
  for (const [i, each] of versions.entries()) {
    if (seen.has(each)) {
      yield invalid(`${field}[${i}]`, each, 'duplicate version');
      continue;
    }
    seen.add(each);
    for (const why of isDns1035Label(each)) yield invalid(`${field}[${i}]`, each, why);
  }
  if (!versions.some((each) => REVIEW_VERSIONS.includes(each))) {
    yield invalid(field, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`);
  }
}
