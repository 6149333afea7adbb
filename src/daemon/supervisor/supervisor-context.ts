/** Dependencies of a supervisor; tests have others. */
import type { LeveledLogger } from '../../base/logger.ts'
import type { ConfigurationDocument } from '../config/settings.ts'
import type { Mounter } from '../mount/mounter.ts'
import type { DescriptorStore, KeptMount } from './descriptor-store.ts'
import type { JournalledRequest } from './inflight-journal-file.ts'
import type { LibrbdService } from './librbd-service.ts'
import type { ServiceManager } from './service-manager.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface SupervisorContext {
  /** Of a mountpoint that has been prepared. */
  readonly mounter: Mounter
  /** See WorkerSupervisorContext. */
  startWorker(directory: string | null, isNew: boolean): WorkerProcess
  /** See WorkerSupervisorContext. */
  onVersion(directory: string | null, addons: readonly string[]): void
  /** Why commands find no worker, for them to say; null: they do. */
  sayTrouble(why: string | null): void
  readonly logger: LeveledLogger
  readonly manager: Pick<ServiceManager, 'status' | 'stopping' | 'alive' | 'watchdogMs'>
  readonly store: Pick<DescriptorStore, 'isHeld' | 'isLibrbdHeld' | 'hold' | 'drop'>
  /** Serves librbd, where a worker says so. */
  readonly librbd: Pick<LibrbdService, 'negotiated' | 'state' | 'ended' | 'handOver' | 'close'>
  /** The mount of an earlier supervisor, to go on with; then nothing is mounted. */
  readonly kept: KeptMount | null
  closeFd(fd: number): void
  /** The requests that were in flight when a worker died; they are forgotten then. */
  takeWork(): JournalledRequest[]
  /** Reads and parses a configuration file. @throws CacheError invalid-argument */
  readConfiguration(file: string): Promise<ConfigurationDocument>
}
