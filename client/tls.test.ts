import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { type ClientConfig, NetworkError } from './port.ts';
import { createClient } from './rest.ts';
import { answerJson, type ScriptedServer, startScriptedServer } from './testing/scripted-server.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const day = 86_400_000;

interface Issued {
  certPem: string;
  keyPem: string;
  cert: x509.X509Certificate;
  keys: webcrypto.CryptoKeyPair;
}

async function issue(name: string, serialNumber: string, issuer?: Issued): Promise<Issued> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const cert = await x509.X509CertificateGenerator.create(
    {
      serialNumber,
      subject: name,
      issuer: issuer?.cert.subject ?? name,
      notBefore: new Date(Date.now() - day),
      notAfter: new Date(Date.now() + day),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: (issuer?.keys ?? keys).privateKey,
      extensions: issuer
        ? [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])]
        : [new x509.BasicConstraintsExtension(true, 1, true)],
    },
    webcrypto as never,
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const keyPem = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`;
  return { certPem: cert.toString('pem'), keyPem, cert, keys };
}

let server: ScriptedServer;
let ca: Issued;
let other: Issued;
let user: Issued;

beforeAll(async () => {
  ca = await issue('CN=cluster-ca', '01');
  other = await issue('CN=other-ca', '02');
  const serving = await issue('CN=kube-apiserver', '03', ca);
  user = await issue('CN=kubernetes-admin, O=system:masters', '04', ca);
  const tls = {
    key: serving.keyPem,
    cert: serving.certPem,
    ca: ca.certPem,
    requestCert: true,
    rejectUnauthorized: false,
  };
  server = await startScriptedServer(({ stream, headers }) => {
    const socket = stream.session?.socket as TLSSocket;
    answerJson(stream, {
      as: socket.getPeerCertificate()?.subject?.CN ?? null,
      trusted: socket.authorized,
      token: headers.authorization ?? null,
    });
  }, tls);
});
afterAll(() => server.stop());

async function ask(config: Partial<ClientConfig>): Promise<unknown> {
  const client = createClient(
    { server: server.url, userAgent: 'test', ...config },
    { clock: systemClock, log: silentLogger },
  );
  try {
    return await client.request('GET', '/version');
  } finally {
    client.close();
  }
}

describe('over TLS', () => {
  it('shows its certificate', async () => {
    const answer = await ask({ caPem: ca.certPem, certificatePem: user.certPem, keyPem: user.keyPem });
    expect(answer).toEqual({ as: 'kubernetes-admin', trusted: true, token: null });
  });

  it('sends its token', async () => {
    expect(await ask({ caPem: ca.certPem, token: 'secret' })).toEqual({
      as: null,
      trusted: false,
      token: 'Bearer secret',
    });
  });

  it.each([
    ['signed by another CA', () => ({ caPem: other.certPem })],
    ['when no CA is known', () => ({})],
    ['of another name', () => ({ caPem: ca.certPem, server: server.url.replace('127.0.0.1', 'localhost') })],
  ])('refuses a server %s', async (_, config) => {
    const error = (await ask(config()).catch((each) => each)) as Error;
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.message).toMatch(/cannot connect to .*(certificate|altnames)/i);
  });

  it('trusts anyone only when told to', async () => {
    expect(await ask({ insecure: true })).toMatchObject({ as: null });
  });
});
