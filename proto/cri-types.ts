// Generated from cri-runtime-v1.proto by scripts/generate-cri-types.ts; do not edit.

/** Method name to [request, response, streams the response]. */
export interface RuntimeServiceMethods {
  Version: [VersionRequest, VersionResponse, false];
  RunPodSandbox: [RunPodSandboxRequest, RunPodSandboxResponse, false];
  StopPodSandbox: [StopPodSandboxRequest, StopPodSandboxResponse, false];
  RemovePodSandbox: [RemovePodSandboxRequest, RemovePodSandboxResponse, false];
  PodSandboxStatus: [PodSandboxStatusRequest, PodSandboxStatusResponse, false];
  ListPodSandbox: [ListPodSandboxRequest, ListPodSandboxResponse, false];
  StreamPodSandboxes: [StreamPodSandboxesRequest, StreamPodSandboxesResponse, true];
  CreateContainer: [CreateContainerRequest, CreateContainerResponse, false];
  StartContainer: [StartContainerRequest, StartContainerResponse, false];
  StopContainer: [StopContainerRequest, StopContainerResponse, false];
  RemoveContainer: [RemoveContainerRequest, RemoveContainerResponse, false];
  ListContainers: [ListContainersRequest, ListContainersResponse, false];
  StreamContainers: [StreamContainersRequest, StreamContainersResponse, true];
  ContainerStatus: [ContainerStatusRequest, ContainerStatusResponse, false];
  UpdateContainerResources: [UpdateContainerResourcesRequest, UpdateContainerResourcesResponse, false];
  ReopenContainerLog: [ReopenContainerLogRequest, ReopenContainerLogResponse, false];
  ExecSync: [ExecSyncRequest, ExecSyncResponse, false];
  Exec: [ExecRequest, ExecResponse, false];
  Attach: [AttachRequest, AttachResponse, false];
  PortForward: [PortForwardRequest, PortForwardResponse, false];
  ContainerStats: [ContainerStatsRequest, ContainerStatsResponse, false];
  ListContainerStats: [ListContainerStatsRequest, ListContainerStatsResponse, false];
  StreamContainerStats: [StreamContainerStatsRequest, StreamContainerStatsResponse, true];
  PodSandboxStats: [PodSandboxStatsRequest, PodSandboxStatsResponse, false];
  ListPodSandboxStats: [ListPodSandboxStatsRequest, ListPodSandboxStatsResponse, false];
  StreamPodSandboxStats: [StreamPodSandboxStatsRequest, StreamPodSandboxStatsResponse, true];
  UpdateRuntimeConfig: [UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse, false];
  Status: [StatusRequest, StatusResponse, false];
  CheckpointContainer: [CheckpointContainerRequest, CheckpointContainerResponse, false];
  GetContainerEvents: [GetEventsRequest, ContainerEventResponse, true];
  ListMetricDescriptors: [ListMetricDescriptorsRequest, ListMetricDescriptorsResponse, false];
  ListPodSandboxMetrics: [ListPodSandboxMetricsRequest, ListPodSandboxMetricsResponse, false];
  StreamPodSandboxMetrics: [StreamPodSandboxMetricsRequest, StreamPodSandboxMetricsResponse, true];
  RuntimeConfig: [RuntimeConfigRequest, RuntimeConfigResponse, false];
  UpdatePodSandboxResources: [UpdatePodSandboxResourcesRequest, UpdatePodSandboxResourcesResponse, false];
}

/** Method name to [request, response, streams the response]. */
export interface ImageServiceMethods {
  ListImages: [ListImagesRequest, ListImagesResponse, false];
  StreamImages: [StreamImagesRequest, StreamImagesResponse, true];
  ImageStatus: [ImageStatusRequest, ImageStatusResponse, false];
  PullImage: [PullImageRequest, PullImageResponse, false];
  RemoveImage: [RemoveImageRequest, RemoveImageResponse, false];
  ImageFsInfo: [ImageFsInfoRequest, ImageFsInfoResponse, false];
}

export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export type MountPropagation = 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER' | 'PROPAGATION_BIDIRECTIONAL';

export type NamespaceMode = 'POD' | 'CONTAINER' | 'NODE' | 'TARGET';

export type SupplementalGroupsPolicy = 'Merge' | 'Strict';

export type PodSandboxState = 'SANDBOX_READY' | 'SANDBOX_NOTREADY';

export type Signal = 'RUNTIME_DEFAULT' | 'SIGABRT' | 'SIGALRM' | 'SIGBUS' | 'SIGCHLD' | 'SIGCLD' | 'SIGCONT' | 'SIGFPE' | 'SIGHUP' | 'SIGILL' | 'SIGINT' | 'SIGIO' | 'SIGIOT' | 'SIGKILL' | 'SIGPIPE' | 'SIGPOLL' | 'SIGPROF' | 'SIGPWR' | 'SIGQUIT' | 'SIGSEGV' | 'SIGSTKFLT' | 'SIGSTOP' | 'SIGSYS' | 'SIGTERM' | 'SIGTRAP' | 'SIGTSTP' | 'SIGTTIN' | 'SIGTTOU' | 'SIGURG' | 'SIGUSR1' | 'SIGUSR2' | 'SIGVTALRM' | 'SIGWINCH' | 'SIGXCPU' | 'SIGXFSZ' | 'SIGRTMIN' | 'SIGRTMINPLUS1' | 'SIGRTMINPLUS2' | 'SIGRTMINPLUS3' | 'SIGRTMINPLUS4' | 'SIGRTMINPLUS5' | 'SIGRTMINPLUS6' | 'SIGRTMINPLUS7' | 'SIGRTMINPLUS8' | 'SIGRTMINPLUS9' | 'SIGRTMINPLUS10' | 'SIGRTMINPLUS11' | 'SIGRTMINPLUS12' | 'SIGRTMINPLUS13' | 'SIGRTMINPLUS14' | 'SIGRTMINPLUS15' | 'SIGRTMAXMINUS14' | 'SIGRTMAXMINUS13' | 'SIGRTMAXMINUS12' | 'SIGRTMAXMINUS11' | 'SIGRTMAXMINUS10' | 'SIGRTMAXMINUS9' | 'SIGRTMAXMINUS8' | 'SIGRTMAXMINUS7' | 'SIGRTMAXMINUS6' | 'SIGRTMAXMINUS5' | 'SIGRTMAXMINUS4' | 'SIGRTMAXMINUS3' | 'SIGRTMAXMINUS2' | 'SIGRTMAXMINUS1' | 'SIGRTMAX';

export type ContainerState = 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN';

export type ContainerEventType = 'CONTAINER_CREATED_EVENT' | 'CONTAINER_STARTED_EVENT' | 'CONTAINER_STOPPED_EVENT' | 'CONTAINER_DELETED_EVENT';

export type MetricType = 'COUNTER' | 'GAUGE';

export type CgroupDriver = 'SYSTEMD' | 'CGROUPFS';

export interface VersionRequest {
  version?: string;
}

export interface VersionResponse {
  version?: string;
  runtimeName?: string;
  runtimeVersion?: string;
  runtimeApiVersion?: string;
}

export interface DNSConfig {
  servers?: string[];
  searches?: string[];
  options?: string[];
}

export interface PortMapping {
  protocol?: Protocol;
  containerPort?: number;
  hostPort?: number;
  hostIp?: string;
}

export interface Mount {
  containerPath?: string;
  hostPath?: string;
  readonly?: boolean;
  selinuxRelabel?: boolean;
  propagation?: MountPropagation;
  uidMappings?: IDMapping[];
  gidMappings?: IDMapping[];
  recursiveReadOnly?: boolean;
  image?: ImageSpec | null;
  imageSubPath?: string;
}

export interface IDMapping {
  hostId?: number;
  containerId?: number;
  length?: number;
}

export interface UserNamespace {
  mode?: NamespaceMode;
  uids?: IDMapping[];
  gids?: IDMapping[];
}

export interface NamespaceOption {
  network?: NamespaceMode;
  pid?: NamespaceMode;
  ipc?: NamespaceMode;
  targetId?: string;
  usernsOptions?: UserNamespace | null;
}

export interface Int64Value {
  value?: number;
}

export interface LinuxSandboxSecurityContext {
  namespaceOptions?: NamespaceOption | null;
  selinuxOptions?: SELinuxOption | null;
  runAsUser?: Int64Value | null;
  runAsGroup?: Int64Value | null;
  readonlyRootfs?: boolean;
  supplementalGroups?: number[];
  supplementalGroupsPolicy?: SupplementalGroupsPolicy;
  privileged?: boolean;
  seccomp?: SecurityProfile | null;
  apparmor?: SecurityProfile | null;
  seccompProfilePath?: string;
}

export interface SecurityProfile {
  profileType?: ProfileType;
  localhostRef?: string;
}

export type ProfileType = 'RuntimeDefault' | 'Unconfined' | 'Localhost';

export interface LinuxPodSandboxConfig {
  cgroupParent?: string;
  securityContext?: LinuxSandboxSecurityContext | null;
  sysctls?: Record<string, string>;
  overhead?: LinuxContainerResources | null;
  resources?: LinuxContainerResources | null;
}

export interface PodSandboxMetadata {
  name?: string;
  uid?: string;
  namespace?: string;
  attempt?: number;
}

export interface PodSandboxConfig {
  metadata?: PodSandboxMetadata | null;
  hostname?: string;
  logDirectory?: string;
  dnsConfig?: DNSConfig | null;
  portMappings?: PortMapping[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  linux?: LinuxPodSandboxConfig | null;
  windows?: WindowsPodSandboxConfig | null;
}

export interface RunPodSandboxRequest {
  config?: PodSandboxConfig | null;
  runtimeHandler?: string;
}

export interface RunPodSandboxResponse {
  podSandboxId?: string;
}

export interface StopPodSandboxRequest {
  podSandboxId?: string;
}

export interface RemovePodSandboxRequest {
  podSandboxId?: string;
}

export interface PodSandboxStatusRequest {
  podSandboxId?: string;
  verbose?: boolean;
}

export interface PodIP {
  ip?: string;
}

export interface PodSandboxNetworkStatus {
  ip?: string;
  additionalIps?: PodIP[];
}

export interface Namespace {
  options?: NamespaceOption | null;
}

export interface LinuxPodSandboxStatus {
  namespaces?: Namespace | null;
}

export interface PodSandboxStatus {
  id?: string;
  metadata?: PodSandboxMetadata | null;
  state?: PodSandboxState;
  createdAt?: number;
  network?: PodSandboxNetworkStatus | null;
  linux?: LinuxPodSandboxStatus | null;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  runtimeHandler?: string;
}

export interface PodSandboxStatusResponse {
  status?: PodSandboxStatus | null;
  info?: Record<string, string>;
  containersStatuses?: ContainerStatus[];
  timestamp?: number;
}

export interface PodSandboxStateValue {
  state?: PodSandboxState;
}

export interface PodSandboxFilter {
  id?: string;
  state?: PodSandboxStateValue | null;
  labelSelector?: Record<string, string>;
}

export interface ListPodSandboxRequest {
  filter?: PodSandboxFilter | null;
}

export interface PodSandbox {
  id?: string;
  metadata?: PodSandboxMetadata | null;
  state?: PodSandboxState;
  createdAt?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  runtimeHandler?: string;
}

export interface ListPodSandboxResponse {
  items?: PodSandbox[];
}

export interface StreamPodSandboxesRequest {
  filter?: PodSandboxFilter | null;
}

export interface StreamPodSandboxesResponse {
  podSandboxes?: PodSandbox[];
}

export interface PodSandboxStatsRequest {
  podSandboxId?: string;
}

export interface PodSandboxStatsResponse {
  stats?: PodSandboxStats | null;
}

export interface PodSandboxStatsFilter {
  id?: string;
  labelSelector?: Record<string, string>;
}

export interface ListPodSandboxStatsRequest {
  filter?: PodSandboxStatsFilter | null;
}

export interface ListPodSandboxStatsResponse {
  stats?: PodSandboxStats[];
}

export interface StreamPodSandboxStatsRequest {
  filter?: PodSandboxStatsFilter | null;
}

export interface StreamPodSandboxStatsResponse {
  podSandboxStats?: PodSandboxStats[];
}

export interface PodSandboxAttributes {
  id?: string;
  metadata?: PodSandboxMetadata | null;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface PodSandboxStats {
  attributes?: PodSandboxAttributes | null;
  linux?: LinuxPodSandboxStats | null;
  windows?: WindowsPodSandboxStats | null;
}

export interface LinuxPodSandboxStats {
  cpu?: CpuUsage | null;
  memory?: MemoryUsage | null;
  network?: NetworkUsage | null;
  process?: ProcessUsage | null;
  containers?: ContainerStats[];
  io?: IoUsage | null;
}

export interface WindowsPodSandboxStats {
  cpu?: WindowsCpuUsage | null;
  memory?: WindowsMemoryUsage | null;
  network?: WindowsNetworkUsage | null;
  process?: WindowsProcessUsage | null;
  containers?: WindowsContainerStats[];
}

export interface NetworkUsage {
  timestamp?: number;
  defaultInterface?: NetworkInterfaceUsage | null;
  interfaces?: NetworkInterfaceUsage[];
}

export interface WindowsNetworkUsage {
  timestamp?: number;
  defaultInterface?: WindowsNetworkInterfaceUsage | null;
  interfaces?: WindowsNetworkInterfaceUsage[];
}

export interface NetworkInterfaceUsage {
  name?: string;
  rxBytes?: UInt64Value | null;
  rxErrors?: UInt64Value | null;
  txBytes?: UInt64Value | null;
  txErrors?: UInt64Value | null;
}

export interface WindowsNetworkInterfaceUsage {
  name?: string;
  rxBytes?: UInt64Value | null;
  rxPacketsDropped?: UInt64Value | null;
  txBytes?: UInt64Value | null;
  txPacketsDropped?: UInt64Value | null;
}

export interface ProcessUsage {
  timestamp?: number;
  processCount?: UInt64Value | null;
}

export interface WindowsProcessUsage {
  timestamp?: number;
  processCount?: UInt64Value | null;
}

export interface ImageSpec {
  image?: string;
  annotations?: Record<string, string>;
  userSpecifiedImage?: string;
  runtimeHandler?: string;
  imageRef?: string;
}

export interface KeyValue {
  key?: string;
  value?: string;
}

export interface LinuxContainerResources {
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuShares?: number;
  memoryLimitInBytes?: number;
  oomScoreAdj?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  hugepageLimits?: HugepageLimit[];
  unified?: Record<string, string>;
  memorySwapLimitInBytes?: number;
}

export interface HugepageLimit {
  pageSize?: string;
  limit?: number;
}

export interface SELinuxOption {
  user?: string;
  role?: string;
  type?: string;
  level?: string;
}

export interface Capability {
  addCapabilities?: string[];
  dropCapabilities?: string[];
  addAmbientCapabilities?: string[];
}

export interface LinuxContainerSecurityContext {
  capabilities?: Capability | null;
  privileged?: boolean;
  namespaceOptions?: NamespaceOption | null;
  selinuxOptions?: SELinuxOption | null;
  runAsUser?: Int64Value | null;
  runAsGroup?: Int64Value | null;
  runAsUsername?: string;
  readonlyRootfs?: boolean;
  supplementalGroups?: number[];
  supplementalGroupsPolicy?: SupplementalGroupsPolicy;
  noNewPrivs?: boolean;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  seccomp?: SecurityProfile | null;
  apparmor?: SecurityProfile | null;
  apparmorProfile?: string;
  seccompProfilePath?: string;
}

export interface LinuxContainerConfig {
  resources?: LinuxContainerResources | null;
  securityContext?: LinuxContainerSecurityContext | null;
}

export interface LinuxContainerUser {
  uid?: number;
  gid?: number;
  supplementalGroups?: number[];
}

export interface WindowsNamespaceOption {
  network?: NamespaceMode;
}

export interface WindowsSandboxSecurityContext {
  runAsUsername?: string;
  credentialSpec?: string;
  hostProcess?: boolean;
  namespaceOptions?: WindowsNamespaceOption | null;
}

export interface WindowsPodSandboxConfig {
  securityContext?: WindowsSandboxSecurityContext | null;
}

export interface WindowsContainerSecurityContext {
  runAsUsername?: string;
  credentialSpec?: string;
  hostProcess?: boolean;
}

export interface WindowsContainerConfig {
  resources?: WindowsContainerResources | null;
  securityContext?: WindowsContainerSecurityContext | null;
}

export interface WindowsContainerResources {
  cpuShares?: number;
  cpuCount?: number;
  cpuMaximum?: number;
  memoryLimitInBytes?: number;
  rootfsSizeInBytes?: number;
  affinityCpus?: WindowsCpuGroupAffinity[];
}

export interface WindowsCpuGroupAffinity {
  cpuMask?: number;
  cpuGroup?: number;
}

export interface ContainerMetadata {
  name?: string;
  attempt?: number;
}

export interface Device {
  containerPath?: string;
  hostPath?: string;
  permissions?: string;
}

export interface CDIDevice {
  name?: string;
}

export interface ContainerConfig {
  metadata?: ContainerMetadata | null;
  image?: ImageSpec | null;
  command?: string[];
  args?: string[];
  workingDir?: string;
  envs?: KeyValue[];
  mounts?: Mount[];
  devices?: Device[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  logPath?: string;
  stdin?: boolean;
  stdinOnce?: boolean;
  tty?: boolean;
  linux?: LinuxContainerConfig | null;
  windows?: WindowsContainerConfig | null;
  CDIDevices?: CDIDevice[];
  stopSignal?: Signal;
}

export interface CreateContainerRequest {
  podSandboxId?: string;
  config?: ContainerConfig | null;
  sandboxConfig?: PodSandboxConfig | null;
}

export interface CreateContainerResponse {
  containerId?: string;
}

export interface StartContainerRequest {
  containerId?: string;
}

export interface StopContainerRequest {
  containerId?: string;
  timeout?: number;
}

export interface RemoveContainerRequest {
  containerId?: string;
}

export interface ContainerStateValue {
  state?: ContainerState;
}

export interface ContainerFilter {
  id?: string;
  state?: ContainerStateValue | null;
  podSandboxId?: string;
  labelSelector?: Record<string, string>;
}

export interface ListContainersRequest {
  filter?: ContainerFilter | null;
}

export interface Container {
  id?: string;
  podSandboxId?: string;
  metadata?: ContainerMetadata | null;
  image?: ImageSpec | null;
  imageRef?: string;
  state?: ContainerState;
  createdAt?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  imageId?: string;
}

export interface ListContainersResponse {
  containers?: Container[];
}

export interface StreamContainersRequest {
  filter?: ContainerFilter | null;
}

export interface StreamContainersResponse {
  containers?: Container[];
}

export interface ContainerStatusRequest {
  containerId?: string;
  verbose?: boolean;
}

export interface ContainerStatus {
  id?: string;
  metadata?: ContainerMetadata | null;
  state?: ContainerState;
  createdAt?: number;
  startedAt?: number;
  finishedAt?: number;
  exitCode?: number;
  image?: ImageSpec | null;
  imageRef?: string;
  reason?: string;
  message?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  mounts?: Mount[];
  logPath?: string;
  resources?: ContainerResources | null;
  imageId?: string;
  user?: ContainerUser | null;
  stopSignal?: Signal;
}

export interface ContainerStatusResponse {
  status?: ContainerStatus | null;
  info?: Record<string, string>;
}

export interface ContainerResources {
  linux?: LinuxContainerResources | null;
  windows?: WindowsContainerResources | null;
}

export interface ContainerUser {
  linux?: LinuxContainerUser | null;
}

export interface UpdateContainerResourcesRequest {
  containerId?: string;
  linux?: LinuxContainerResources | null;
  windows?: WindowsContainerResources | null;
  annotations?: Record<string, string>;
}

export interface ExecSyncRequest {
  containerId?: string;
  cmd?: string[];
  timeout?: number;
}

export interface ExecSyncResponse {
  stdout?: Uint8Array;
  stderr?: Uint8Array;
  exitCode?: number;
}

export interface ExecRequest {
  containerId?: string;
  cmd?: string[];
  tty?: boolean;
  stdin?: boolean;
  stdout?: boolean;
  stderr?: boolean;
}

export interface ExecResponse {
  url?: string;
}

export interface AttachRequest {
  containerId?: string;
  stdin?: boolean;
  tty?: boolean;
  stdout?: boolean;
  stderr?: boolean;
}

export interface AttachResponse {
  url?: string;
}

export interface PortForwardRequest {
  podSandboxId?: string;
  port?: number[];
}

export interface PortForwardResponse {
  url?: string;
}

export interface ImageFilter {
  image?: ImageSpec | null;
}

export interface ListImagesRequest {
  filter?: ImageFilter | null;
}

export interface Image {
  id?: string;
  repoTags?: string[];
  repoDigests?: string[];
  size?: number;
  uid?: Int64Value | null;
  username?: string;
  spec?: ImageSpec | null;
  pinned?: boolean;
}

export interface ListImagesResponse {
  images?: Image[];
}

export interface StreamImagesRequest {
  filter?: ImageFilter | null;
}

export interface StreamImagesResponse {
  images?: Image[];
}

export interface ImageStatusRequest {
  image?: ImageSpec | null;
  verbose?: boolean;
}

export interface ImageStatusResponse {
  image?: Image | null;
  info?: Record<string, string>;
}

export interface AuthConfig {
  username?: string;
  password?: string;
  auth?: string;
  serverAddress?: string;
  identityToken?: string;
  registryToken?: string;
}

export interface PullImageRequest {
  image?: ImageSpec | null;
  auth?: AuthConfig | null;
  sandboxConfig?: PodSandboxConfig | null;
}

export interface PullImageResponse {
  imageRef?: string;
}

export interface RemoveImageRequest {
  image?: ImageSpec | null;
}

export interface NetworkConfig {
  podCidr?: string;
}

export interface RuntimeConfig {
  networkConfig?: NetworkConfig | null;
}

export interface UpdateRuntimeConfigRequest {
  runtimeConfig?: RuntimeConfig | null;
}

export interface RuntimeCondition {
  type?: string;
  status?: boolean;
  reason?: string;
  message?: string;
}

export interface RuntimeStatus {
  conditions?: RuntimeCondition[];
}

export interface StatusRequest {
  verbose?: boolean;
}

export interface RuntimeHandlerFeatures {
  recursiveReadOnlyMounts?: boolean;
  userNamespaces?: boolean;
}

export interface RuntimeHandler {
  name?: string;
  features?: RuntimeHandlerFeatures | null;
}

export interface RuntimeFeatures {
  supplementalGroupsPolicy?: boolean;
  userNamespacesHostNetwork?: boolean;
}

export interface StatusResponse {
  status?: RuntimeStatus | null;
  info?: Record<string, string>;
  runtimeHandlers?: RuntimeHandler[];
  features?: RuntimeFeatures | null;
}

export interface UInt64Value {
  value?: number;
}

export interface FilesystemIdentifier {
  mountpoint?: string;
}

export interface FilesystemUsage {
  timestamp?: number;
  fsId?: FilesystemIdentifier | null;
  usedBytes?: UInt64Value | null;
  inodesUsed?: UInt64Value | null;
}

export interface WindowsFilesystemUsage {
  timestamp?: number;
  fsId?: FilesystemIdentifier | null;
  usedBytes?: UInt64Value | null;
}

export interface ImageFsInfoResponse {
  imageFilesystems?: FilesystemUsage[];
  containerFilesystems?: FilesystemUsage[];
}

export interface ContainerStatsRequest {
  containerId?: string;
}

export interface ContainerStatsResponse {
  stats?: ContainerStats | null;
}

export interface ListContainerStatsRequest {
  filter?: ContainerStatsFilter | null;
}

export interface ContainerStatsFilter {
  id?: string;
  podSandboxId?: string;
  labelSelector?: Record<string, string>;
}

export interface ListContainerStatsResponse {
  stats?: ContainerStats[];
}

export interface StreamContainerStatsRequest {
  filter?: ContainerStatsFilter | null;
}

export interface StreamContainerStatsResponse {
  containerStats?: ContainerStats[];
}

export interface ContainerAttributes {
  id?: string;
  metadata?: ContainerMetadata | null;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface ContainerStats {
  attributes?: ContainerAttributes | null;
  cpu?: CpuUsage | null;
  memory?: MemoryUsage | null;
  writableLayer?: FilesystemUsage | null;
  swap?: SwapUsage | null;
  io?: IoUsage | null;
}

export interface WindowsContainerStats {
  attributes?: ContainerAttributes | null;
  cpu?: WindowsCpuUsage | null;
  memory?: WindowsMemoryUsage | null;
  writableLayer?: WindowsFilesystemUsage | null;
}

export interface PsiStats {
  Full?: PsiData | null;
  Some?: PsiData | null;
}

export interface PsiData {
  Total?: number;
  Avg10?: number;
  Avg60?: number;
  Avg300?: number;
}

export interface CpuUsage {
  timestamp?: number;
  usageCoreNanoSeconds?: UInt64Value | null;
  usageNanoCores?: UInt64Value | null;
  psi?: PsiStats | null;
}

export interface WindowsCpuUsage {
  timestamp?: number;
  usageCoreNanoSeconds?: UInt64Value | null;
  usageNanoCores?: UInt64Value | null;
}

export interface MemoryUsage {
  timestamp?: number;
  workingSetBytes?: UInt64Value | null;
  availableBytes?: UInt64Value | null;
  usageBytes?: UInt64Value | null;
  rssBytes?: UInt64Value | null;
  pageFaults?: UInt64Value | null;
  majorPageFaults?: UInt64Value | null;
  psi?: PsiStats | null;
}

export interface IoUsage {
  timestamp?: number;
  psi?: PsiStats | null;
}

export interface SwapUsage {
  timestamp?: number;
  swapAvailableBytes?: UInt64Value | null;
  swapUsageBytes?: UInt64Value | null;
}

export interface WindowsMemoryUsage {
  timestamp?: number;
  workingSetBytes?: UInt64Value | null;
  availableBytes?: UInt64Value | null;
  pageFaults?: UInt64Value | null;
  commitMemoryBytes?: UInt64Value | null;
}

export interface ReopenContainerLogRequest {
  containerId?: string;
}

export interface CheckpointContainerRequest {
  containerId?: string;
  location?: string;
  timeout?: number;
}

export interface ContainerEventResponse {
  containerId?: string;
  containerEventType?: ContainerEventType;
  createdAt?: number;
  podSandboxStatus?: PodSandboxStatus | null;
  containersStatuses?: ContainerStatus[];
}

export interface ListMetricDescriptorsResponse {
  descriptors?: MetricDescriptor[];
}

export interface MetricDescriptor {
  name?: string;
  help?: string;
  labelKeys?: string[];
}

export interface ListPodSandboxMetricsResponse {
  podMetrics?: PodSandboxMetrics[];
}

export interface StreamPodSandboxMetricsResponse {
  podSandboxMetrics?: PodSandboxMetrics[];
}

export interface PodSandboxMetrics {
  podSandboxId?: string;
  metrics?: Metric[];
  containerMetrics?: ContainerMetrics[];
}

export interface ContainerMetrics {
  containerId?: string;
  metrics?: Metric[];
}

export interface Metric {
  name?: string;
  timestamp?: number;
  metricType?: MetricType;
  labelValues?: string[];
  value?: UInt64Value | null;
}

export interface RuntimeConfigResponse {
  linux?: LinuxRuntimeConfiguration | null;
}

export interface LinuxRuntimeConfiguration {
  cgroupDriver?: CgroupDriver;
}

export interface UpdatePodSandboxResourcesRequest {
  podSandboxId?: string;
  overhead?: LinuxContainerResources | null;
  resources?: LinuxContainerResources | null;
}

export type StopPodSandboxResponse = Record<string, never>;

export type RemovePodSandboxResponse = Record<string, never>;

export type StartContainerResponse = Record<string, never>;

export type StopContainerResponse = Record<string, never>;

export type RemoveContainerResponse = Record<string, never>;

export type UpdateContainerResourcesResponse = Record<string, never>;

export type ReopenContainerLogResponse = Record<string, never>;

export type UpdateRuntimeConfigResponse = Record<string, never>;

export type CheckpointContainerResponse = Record<string, never>;

export type GetEventsRequest = Record<string, never>;

export type ListMetricDescriptorsRequest = Record<string, never>;

export type ListPodSandboxMetricsRequest = Record<string, never>;

export type StreamPodSandboxMetricsRequest = Record<string, never>;

export type RuntimeConfigRequest = Record<string, never>;

export type UpdatePodSandboxResourcesResponse = Record<string, never>;

export type RemoveImageResponse = Record<string, never>;

export type ImageFsInfoRequest = Record<string, never>;
