// The public library for authors of controllers and node agents.
export * from './port.ts';
export { createClient } from './rest.ts';
export { createInformer, createInformerFactory } from './informer.ts';
export { isAlreadyExists, isConflict, isExpired, isNamespaceTerminating, isNotFound } from './status.ts';
export { compareResourceVersions } from './resource-version.ts';
