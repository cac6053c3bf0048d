// How the versions of a custom resource are converted: None, or a webhook that is named completely.
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isDns1035Label } from '../names.ts';
import type { CustomResourceConversion, WebhookClientConfig } from '../types/apiextensions-v1.ts';
import { validateWebhookService, validateWebhookUrl } from './webhooks.ts';

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
  } else if (url !== undefined) yield* validateWebhookUrl(url, `${field}.url`);
  else if (service) yield* validateWebhookService(service, `${field}.service`);
  if (caBundle && !options.allowInvalidCaBundle) {
    const pem = Buffer.from(caBundle, 'base64').toString('utf8');
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
      const why = 'unable to load root certificates: unable to parse bytes as PEM block';
      yield invalid(`${field}.caBundle`, caBundle, why);
    }
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
