// Generated from api/schema/certificates.v1.txt by scripts/generate-types.ts; do not edit.
import type * as meta from './meta.ts';

export interface CertificateSigningRequest {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ObjectMeta;
  spec: CertificateSigningRequestSpec;
  status?: CertificateSigningRequestStatus;
}

export interface CertificateSigningRequestCondition {
  type: string;
  reason?: string;
  message?: string;
  lastUpdateTime?: string;
  lastTransitionTime?: string;
  status: string;
}

export interface CertificateSigningRequestList {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ListMeta;
  items: CertificateSigningRequest[];
}

export interface CertificateSigningRequestSpec {
  request: string;
  username?: string;
  uid?: string;
  groups?: string[];
  usages?: string[];
  extra?: Record<string, string[]>;
  signerName: string;
  expirationSeconds?: number;
}

export interface CertificateSigningRequestStatus {
  conditions?: CertificateSigningRequestCondition[];
  certificate?: string;
}
