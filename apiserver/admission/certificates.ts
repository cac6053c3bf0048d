// CertificateApproval, CertificateSigning, CertificateSubjectRestriction: who may approve and sign for which signer, and a
// subject that no client certificate may have. Rights are checked on the stored signer: the request cannot choose another.
import { semanticEqual } from '../../api/equality.ts';
import { errors } from '../../api/errors.ts';
import { parseSigningRequest } from '../../api/pkcs10.ts';
import type { CertificateSigningRequest } from '../../api/types/certificates-v1.ts';
import type { Authorizer } from '../auth/identity.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

const GROUP = 'certificates.k8s.io';
const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client';

/** In upstream's order. */
export function certificateAdmission(authorizer: Authorizer): AdmissionPlugin[] {
  const checkSigner = async (request: AdmissionRequest, verb: string, doing: string) => {
    const { signerName } = (request.old as CertificateSigningRequest).spec;
    if (await maySign(authorizer, request, verb, signerName)) return;
    throw refuse(request, `user not permitted to ${doing} requests with signerName ${JSON.stringify(signerName)}`);
  };
  return [
    {
      name: 'CertificateApproval',
      handles: on('approval', 'UPDATE'),
      validate: (request) => checkSigner(request, 'approve', 'approve'),
    },
    {
      name: 'CertificateSigning',
      handles: on('status', 'UPDATE'),
      validate(request) {
        const { status: now } = request.object as CertificateSigningRequest;
        const { status: before } = request.old as CertificateSigningRequest;
        const isSame =
          (now?.certificate ?? '') === (before?.certificate ?? '') &&
          semanticEqual(now?.conditions, before?.conditions);
        return isSame ? undefined : checkSigner(request, 'sign', 'sign');
      },
    },
    {
      name: 'CertificateSubjectRestriction',
      handles: on('', 'CREATE'),
      validate(request) {
        const { signerName, request: bytes } = (request.object as CertificateSigningRequest).spec;
        if (signerName !== CLIENT_SIGNER) return;
        if (parseSigningRequest(bytes).organizations.includes('system:masters')) {
          throw refuse(request, `use of ${CLIENT_SIGNER} signer with system:masters group is not allowed`);
        }
      },
    },
  ];
}

const on =
  (subresource: string, operation: string): NonNullable<AdmissionPlugin['handles']> =>
  (kind, asked, doing) =>
    kind.group === GROUP &&
    kind.resource === 'certificatesigningrequests' &&
    asked === subresource &&
    doing === operation;

/** By the signer's name, or for all signers of its domain: `example.com/*`. */
async function maySign(
  authorizer: Authorizer,
  { user }: AdmissionRequest,
  verb: string,
  signerName: string,
): Promise<boolean> {
  for (const name of [signerName, `${signerName.split('/')[0]}/*`]) {
    const decision = await authorizer.authorize({
      user,
      verb,
      isResource: true,
      group: GROUP,
      version: '*',
      resource: 'signers',
      subresource: '',
      namespace: '',
      name,
      path: '',
    });
    if (decision.allowed) return true;
  }
  return false;
}

function refuse(request: AdmissionRequest, why: string) {
  return errors.forbidden({ group: GROUP, resource: 'certificatesigningrequests' }, request.name, why);
}
