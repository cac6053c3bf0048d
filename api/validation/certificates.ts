// Certificate signing requests (k8s.io/kubernetes/pkg/apis/certificates/validation): the request itself is parsed and its
// signature checked, so that a signer never sees one that nobody could have made. What was stored by laxer versions may stay.
import { X509Certificate } from 'node:crypto';
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { parsePem, signingRequestProblem } from '../pkcs10.ts';
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '../types/certificates-v1.ts';
import type { Findings } from './checks.ts';
import { describeChange } from './describe-change.ts';
import { signerName } from './signer-name.ts';

const { duplicate, forbidden, invalid, notSupported, required } = fieldErrors;

const USAGES = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];
const LEGACY_SIGNER = 'kubernetes.io/legacy-unknown';
const MIN_SECONDS = 600;
const DECISIONS = ['Approved', 'Denied'];
const LASTING = [...DECISIONS, 'Failed'];

/** Without `old` a new request; the approval may change decisions, the status the certificate, anything else neither. */
export function validateSigningRequest(
  object: CertificateSigningRequest,
  old?: CertificateSigningRequest,
  subresource: '' | 'approval' | 'status' = '',
): FieldError[] {
  return [...content(object, old), ...(old ? change(object, old, subresource) : [])];
}

const hasTwice = (values: readonly string[]) => new Set(values).size < values.length;
const typesOf = (object: CertificateSigningRequest | undefined) =>
  (object?.status?.conditions ?? []).map((each) => each.type ?? '');

function* content(object: CertificateSigningRequest, old: CertificateSigningRequest | undefined): Findings {
  const { request = '', usages = [], signerName: signer = '', expirationSeconds } = object.spec ?? {};
  const problem = request === old?.spec?.request ? undefined : signingRequestProblem(request);
  if (problem) yield invalid('spec.request', request, problem);
  if (usages.length === 0) yield required('spec.usages');
  const before = old?.spec?.usages ?? [];
  if (before.every((each) => USAGES.includes(each))) {
    for (const [i, usage] of usages.entries()) {
      if (!USAGES.includes(usage)) yield notSupported(`spec.usages[${i}]`, usage, USAGES);
    }
  }
  if (!hasTwice(before)) {
    for (const [i, usage] of usages.entries()) {
      if (usages.indexOf(usage) < i) yield duplicate(`spec.usages[${i}]`, usage);
    }
  }
  if (signer === LEGACY_SIGNER && old?.spec?.signerName !== LEGACY_SIGNER) {
    yield invalid('spec.signerName', signer, 'the legacy signerName is not allowed via this API version');
  } else yield* signerName(signer, 'spec.signerName');
  if (expirationSeconds !== undefined && expirationSeconds < MIN_SECONDS) {
    const text = 'may not specify a duration less than 600 seconds (10 minutes)';
    yield invalid('spec.expirationSeconds', expirationSeconds, text);
  }
  yield* conditions(object, old);
  const { certificate = '' } = object.status ?? {};
  const was = old?.status?.certificate ?? '';
  if ((!old || certificate !== was) && !certificateProblem(was)) {
    const found = certificateProblem(certificate);
    if (found) yield invalid('status.certificate', '<certificate data>', found);
  }
}

function* conditions(object: CertificateSigningRequest, old: CertificateSigningRequest | undefined): Findings {
  const field = 'status.conditions';
  const before = typesOf(old);
  const mayDecideTwice = DECISIONS.every((each) => before.includes(each));
  const seen: string[] = [];
  for (const [i, { type = '', status = '' }] of (object.status?.conditions ?? []).entries()) {
    if (type === '' && !before.includes('')) yield required(`${field}[${i}].type`);
    const allowed = LASTING.includes(type) ? ['True'] : ['False', 'True', 'Unknown'];
    if (status === '') yield required(`${field}[${i}].status`);
    else if (!allowed.includes(status)) yield notSupported(`${field}[${i}].status`, status, allowed);
    const other = type === 'Approved' ? 'Denied' : type === 'Denied' ? 'Approved' : undefined;
    if (other && seen.includes(other) && !mayDecideTwice) {
      yield invalid(`${field}[${i}].type`, type, 'Approved and Denied conditions are mutually exclusive');
    }
    if (seen.includes(type) && !hasTwice(before)) yield duplicate(`${field}[${i}].type`, type);
    seen.push(type);
  }
}

function* change(object: CertificateSigningRequest, old: CertificateSigningRequest, subresource: string): Findings {
  const field = 'status.conditions';
  const pairs = LASTING.map((type) => ({ type, ours: ofType(object, type), theirs: ofType(old, type) }));
  for (const { type, ours, theirs } of pairs) {
    if (ours.length < theirs.length) {
      yield forbidden(field, `updates may not remove a condition of type ${JSON.stringify(type)}`);
    }
  }
  for (const { type, ours, theirs } of pairs) {
    if (subresource === 'approval' || !DECISIONS.includes(type)) continue;
    if (ours.length > theirs.length) {
      yield forbidden(field, `updates may not add a condition of type ${JSON.stringify(type)}`);
    } else if (ours.length === theirs.length && !semanticEqual(ours, theirs)) {
      const text = `updates may not modify a condition of type ${JSON.stringify(type)}`;
      yield forbidden(field, `${text}\n${describeChange(theirs, ours, field)}`);
    }
  }
  const was = old.status?.certificate ?? '';
  if ((object.status?.certificate ?? '') === was) return;
  if (subresource !== 'status') yield forbidden('status.certificate', 'updates may not set certificate content');
  else if (was) yield forbidden('status.certificate', 'updates may not modify existing certificate content');
}

const ofType = (object: CertificateSigningRequest, type: string): CertificateSigningRequestCondition[] =>
  (object.status?.conditions ?? []).filter((each) => each.type === type);

/** `data` is base64 of PEM; empty is no certificate yet. */
function certificateProblem(data: string): string | undefined {
  if (data === '') return undefined;
  const blocks = parsePem(Buffer.from(data, 'base64').toString('latin1'));
  if (blocks.length === 0) return 'must contain at least one CERTIFICATE PEM block';
  for (const { label, hasHeaders, der } of blocks) {
    if (label !== 'CERTIFICATE') return `only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(label)}`;
    if (hasHeaders) return 'no PEM block headers are permitted';
    if (der.length === 0) return 'found CERTIFICATE PEM block containing 0 certificates';
    try {
      void new X509Certificate(der);
    } catch {
      return 'x509: malformed certificate';
    }
  }
  return undefined;
}
