// What the RBAC kinds share: who is bound, how it is printed, and its defaults.
import { age } from '../../duration.ts';
import type { Cell } from '../../kind.ts';
import type { ObjectMeta } from '../../types/meta.ts';
import { RBAC_GROUP } from '../../validation/rbac.ts';
import type { RoleRef, Subject } from '../../types/rbac-v1.ts';

export interface Binding {
  metadata: ObjectMeta;
  subjects?: Subject[];
  roleRef: RoleRef;
}

export const BINDING_COLUMNS = ['Name:string:name', 'Role', 'Age', 'Users*', 'Groups*', 'ServiceAccounts*'];

export function bindingCells(binding: Binding, nowMs: number): Cell[] {
  const subjects = (kind: string, show: (subject: Subject) => string) =>
    (binding.subjects ?? [])
      .filter((each) => each.kind === kind)
      .map(show)
      .join(', ');
  return [
    binding.metadata.name ?? '',
    `${binding.roleRef.kind}/${binding.roleRef.name}`,
    age(binding.metadata.creationTimestamp, nowMs),
    subjects('User', (each) => each.name),
    subjects('Group', (each) => each.name),
    subjects('ServiceAccount', (each) => `${each.namespace ?? ''}/${each.name}`),
  ];
}

export function setBindingDefaults(binding: Binding): void {
  if (binding.roleRef) binding.roleRef.apiGroup ||= RBAC_GROUP;
  for (const subject of binding.subjects ?? []) {
    if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= RBAC_GROUP;
  }
}
