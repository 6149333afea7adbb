/** What a keeper works with; tests have others. */
import type { LeveledLogger } from '../logger.ts'
import type { DescriptorStore, KeptMount } from './descriptor-store.ts'
import type { Mounter } from './mounter.ts'
import type { ServerProcess } from './server-process.ts'
import type { ServiceManager } from './service-manager.ts'
import type { ConfigurationDocument } from './settings.ts'
import type { InWork } from './work-file.ts'

export interface KeeperParts {
  /** Of a mountpoint that has been prepared. */
  readonly mounter: Mounter
  /** See SupervisorParts. */
  startServer(directory: string | null, isNew: boolean): ServerProcess
  /** See SupervisorParts. */
  onVersion(directory: string | null, addons: readonly string[]): void
  /** Why commands find no server, for them to say; null: they do. */
  sayTrouble(why: string | null): void
  readonly logger: LeveledLogger
  readonly manager: Pick<ServiceManager, 'status' | 'stopping' | 'alive' | 'watchdogMs'>
  readonly store: Pick<DescriptorStore, 'isHeld' | 'hold' | 'drop'>
  /** The mount of an earlier keeper, to go on with; then nothing is mounted. */
  readonly kept: KeptMount | null
  closeFd(fd: number): void
  /** What was in work when a server died; it is forgotten then. */
  takeWork(): InWork[]
  /** What a configuration file says. @throws CacheError invalid-argument */
  readConfiguration(file: string): Promise<ConfigurationDocument>
}
