// Gets a certificate by a CertificateSigningRequest: a key made here, which never leaves the node, a request, and the answer of whoever signs
// for that signer name (https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/).
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { CertificateSigningRequest } from '../../api/types/certificates-v1.ts';
import type { Client, ResourceRef } from '../../client/port.ts';

const signingRequests: ResourceRef = {
  group: 'certificates.k8s.io',
  version: 'v1',
  resource: 'certificatesigningrequests',
  kind: 'CertificateSigningRequest',
  namespaced: false,
};

export interface Wanted {
  signerName: 'kubernetes.io/kube-apiserver-client-kubelet' | 'kubernetes.io/kubelet-serving';
  nodeName: string;
  /** For serving: what the certificate is to be valid for. */
  dnsNames?: readonly string[];
  ips?: readonly string[];
}

export interface SignedKeys {
  certificatePem: string;
  keyPem: string;
}

export class CertificateDenied extends Error {}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** Resolves when the certificate is there, however long that takes; rejects with CertificateDenied, or when `signal` aborts. */
export async function requestCertificate(client: Client, wanted: Wanted, signal: AbortSignal): Promise<SignedKeys> {
  x509.cryptoProvider.set(webcrypto as never);
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const names = [
    ...(wanted.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(wanted.ips ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ O: ['system:nodes'] }, { CN: [`system:node:${wanted.nodeName}`] }],
    keys,
    signingAlgorithm: algorithm,
    extensions: names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
  });
  const isServing = wanted.signerName === 'kubernetes.io/kubelet-serving';
  const csrs = client.resource<CertificateSigningRequest>(signingRequests);
  const made = await csrs.create(
    {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { generateName: isServing ? 'csr-serving-' : 'node-csr-' },
      spec: {
        request: Buffer.from(`${request.toString('pem')}\n`).toString('base64'),
        signerName: wanted.signerName,
        usages: ['digital signature', isServing ? 'server auth' : 'client auth'],
      },
    },
    { signal },
  );
  const certificatePem = await signed(client, made, signal);
  const key = (await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)) as ArrayBuffer;
  return { certificatePem, keyPem: x509.PemConverter.encode(key, 'PRIVATE KEY') };
}

async function signed(client: Client, made: CertificateSigningRequest, signal: AbortSignal): Promise<string> {
  const csrs = client.resource<CertificateSigningRequest>(signingRequests);
  const name = made.metadata.name ?? '';
  const fieldSelector = `metadata.name=${name}`;
  for (let current: CertificateSigningRequest = made; ; ) {
    for (const { type, message } of current.status?.conditions ?? []) {
      if (type === 'Denied' || type === 'Failed') {
        throw new CertificateDenied(`certificate signing request ${name} is ${type.toLowerCase()}: ${message ?? ''}`);
      }
    }
    const { certificate } = current.status ?? {};
    if (certificate) return Buffer.from(certificate, 'base64').toString();
    signal.throwIfAborted();
    const resourceVersion = current.metadata.resourceVersion ?? '';
    for await (const event of csrs.watch({ fieldSelector, resourceVersion, timeoutSeconds: 300, signal })) {
      if (event.type === 'DELETED') throw new CertificateDenied(`certificate signing request ${name} was deleted`);
      if (event.type === 'BOOKMARK') continue;
      current = event.object as CertificateSigningRequest;
      break;
    }
  }
}
