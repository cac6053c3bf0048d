// Certificate requests (PKCS#10) as signers get them: PEM, parsed as far as is needed to see that its author holds the key.
// Messages are those of Go's crypto/x509 where it has one for the case.
import { createPublicKey, type KeyObject, verify } from 'node:crypto';

export interface PemBlock {
  label: string;
  hasHeaders: boolean;
  der: Buffer;
}

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n([\s\S]*?)-----END \1-----/g;

/** The blocks of a text, in order; what is between them is nobody's. */
export function parsePem(text: string): PemBlock[] {
  return [...text.matchAll(PEM)].map(([, label = '', body = '']) => {
    const lines = body.split(/\r?\n/);
    const hasHeaders = lines.some((line) => line.includes(':'));
    const base64 = hasHeaders ? lines.slice(lines.findIndex((line) => line.trim() === '') + 1) : lines;
    return { label, hasHeaders, der: Buffer.from(base64.join(''), 'base64') };
  });
}

const SHA2: Readonly<Record<string, { hash: string | null; keyType: string }>> = {
  '1.2.840.113549.1.1.11': { hash: 'sha256', keyType: 'rsa' },
  '1.2.840.113549.1.1.12': { hash: 'sha384', keyType: 'rsa' },
  '1.2.840.113549.1.1.13': { hash: 'sha512', keyType: 'rsa' },
  '1.2.840.10045.4.3.2': { hash: 'sha256', keyType: 'ec' },
  '1.2.840.10045.4.3.3': { hash: 'sha384', keyType: 'ec' },
  '1.2.840.10045.4.3.4': { hash: 'sha512', keyType: 'ec' },
  '1.3.101.112': { hash: null, keyType: 'ed25519' },
};
const FAILURES: Readonly<Record<string, string>> = {
  rsa: 'crypto/rsa: verification error',
  ec: 'x509: ECDSA verification failure',
  ed25519: 'x509: Ed25519 verification failure',
};

/** Why `request` (base64 of PEM) is no request that its author signed; undefined when it is. */
export function signingRequestProblem(request: string): string | undefined {
  const block = parsePem(Buffer.from(request, 'base64').toString('latin1'))[0];
  if (block?.label !== 'CERTIFICATE REQUEST') return 'PEM block type must be CERTIFICATE REQUEST';
  let parts: { signed: Buffer; publicKey: Buffer; algorithm: string; signature: Buffer };
  try {
    parts = parseRequest(block.der);
  } catch {
    return 'asn1: structure error: malformed certificate request';
  }
  const algorithm = SHA2[parts.algorithm];
  if (!algorithm) return 'x509: cannot verify signature: algorithm unimplemented';
  let key: KeyObject;
  try {
    key = createPublicKey({ key: parts.publicKey, format: 'der', type: 'spki' });
  } catch {
    return 'x509: unsupported public key algorithm';
  }
  if (key.asymmetricKeyType !== algorithm.keyType) {
    return 'x509: signature algorithm specifies a different public key type than the request has';
  }
  return verify(algorithm.hash, parts.signed, key, parts.signature) ? undefined : FAILURES[algorithm.keyType];
}

/** What a request asks to be called; extensions other than names are not read. */
export interface SigningRequest {
  commonName: string;
  organizations: string[];
  dnsNames: string[];
  emailAddresses: string[];
  uris: string[];
  ipAddresses: string[];
  /** The subject as it stands in the request, for the certificate. DER. */
  subject: Buffer;
  /** SubjectPublicKeyInfo. DER. */
  publicKey: Buffer;
}

/** Reads `request` (base64 of PEM); throws when it is none. The signature is not looked at: see signingRequestProblem. */
export function parseSigningRequest(request: string): SigningRequest {
  const block = parsePem(Buffer.from(request, 'base64').toString('latin1'))[0];
  if (block?.label !== 'CERTIFICATE REQUEST') throw new Error('PEM block type must be CERTIFICATE REQUEST');
  const { subject, publicKey, attributes } = parseRequest(block.der);
  const names = subjectNames(subject);
  const found: SigningRequest = {
    commonName: names.filter(([id]) => id === COMMON_NAME).at(-1)?.[1] ?? '',
    organizations: names.filter(([id]) => id === ORGANIZATION).map(([, value]) => value),
    dnsNames: [],
    emailAddresses: [],
    uris: [],
    ipAddresses: [],
    subject: subject.whole,
    publicKey,
  };
  for (const { tag, content } of alternativeNames(attributes)) {
    if (tag === 0x81) found.emailAddresses.push(content.toString('latin1'));
    else if (tag === 0x82) found.dnsNames.push(content.toString('latin1'));
    else if (tag === 0x86) found.uris.push(content.toString('latin1'));
    else if (tag === 0x87) found.ipAddresses.push(addressText(content));
  }
  return found;
}

const COMMON_NAME = '2.5.4.3';
const ORGANIZATION = '2.5.4.10';
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const ALTERNATIVE_NAME = '2.5.29.17';

function subjectNames(subject: Element): [string, string][] {
  return elements(expect(subject, SEQUENCE)).flatMap((set) =>
    elements(expect(set, SET)).map((attribute): [string, string] => {
      const [id, value] = elements(expect(attribute, SEQUENCE)) as [Element, Element];
      // BMPString is UTF-16; the others are ASCII or UTF-8.
      const text =
        value.tag === 0x1e ? Buffer.from(value.content).swap16().toString('utf16le') : value.content.toString();
      return [objectId(expect(id, OBJECT_ID)), text];
    }),
  );
}

/** The general names of the subjectAltName extensions that the attributes ask for. */
function alternativeNames(attributes: Element | undefined): Element[] {
  if (attributes?.tag !== 0xa0) return [];
  const found: Element[] = [];
  for (const attribute of elements(attributes.content)) {
    const [id, values] = elements(expect(attribute, SEQUENCE)) as [Element, Element];
    if (objectId(expect(id, OBJECT_ID)) !== EXTENSION_REQUEST) continue;
    for (const list of elements(expect(values, SET))) {
      for (const extension of elements(expect(list, SEQUENCE))) {
        const parts = elements(expect(extension, SEQUENCE));
        if (objectId(expect(parts[0], OBJECT_ID)) !== ALTERNATIVE_NAME) continue;
        const [names] = elements(expect(parts.at(-1), OCTET_STRING));
        found.push(...elements(expect(names, SEQUENCE)));
      }
    }
  }
  return found;
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new Error('bad address');
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':');
}

interface Element {
  tag: number;
  /** With tag and length. */
  whole: Buffer;
  content: Buffer;
}

const SEQUENCE = 0x30;
const BIT_STRING = 0x03;
const OBJECT_ID = 0x06;
const OCTET_STRING = 0x04;
const SET = 0x31;

function parseRequest(der: Buffer) {
  const [request, ...rest] = elements(der);
  if (!request || rest.length > 0) throw new Error('trailing data');
  const [info, algorithm, signature] = elements(expect(request, SEQUENCE)) as [Element, Element, Element];
  const [, subject, publicKey, attributes] = elements(expect(info, SEQUENCE)) as [
    Element,
    Element,
    Element,
    Element | undefined,
  ];
  const [id] = elements(expect(algorithm, SEQUENCE)) as [Element];
  return {
    signed: info.whole,
    subject,
    attributes,
    publicKey: (expect(publicKey, SEQUENCE), publicKey.whole),
    algorithm: objectId(expect(id, OBJECT_ID)),
    // The first byte counts the unused bits, of which there are none.
    signature: expect(signature, BIT_STRING).subarray(1),
  };
}

function expect(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new Error("tags don't match");
  return element.content;
}

function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] as number;
    let length = bytes[at + 1];
    let start = at + 2;
    if (length === undefined) throw new Error('truncated');
    if (length >= 0x80) {
      const size = length & 0x7f;
      if (size === 0 || size > 4 || start + size > bytes.length) throw new Error('bad length');
      length = bytes.readUIntBE(start, size);
      start += size;
    }
    if (start + length > bytes.length) throw new Error('truncated');
    found.push({ tag, whole: bytes.subarray(at, start + length), content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

function objectId(bytes: Buffer): string {
  const first = bytes[0] ?? 0;
  const parts = [Math.min(2, Math.floor(first / 40)), first - 40 * Math.min(2, Math.floor(first / 40))];
  let value = 0;
  for (const byte of bytes.subarray(1)) {
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      parts.push(value);
      value = 0;
    }
  }
  return parts.join('.');
}
