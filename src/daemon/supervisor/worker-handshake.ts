/**
 * Start-up handshake of one worker: boot, serve, and an end that comes within a bounded time.
 *
 * Each step waits for one answer. A worker that reports a failure, that dies, or that is given up ends the step at
 * once.
 */

import { prepareMsMax } from '../../admin/limits.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { PoisonVerdict } from '../../fuse/kernel/inflight-journal.ts'
import type { Negotiated } from '../../fuse/kernel/negotiation.ts'
import type { Settings } from '../config/settings.ts'
import { protocolVersion, type ToSupervisor, type ToWorker } from '../ipc/messages.ts'
import { mountAnswerMsMax } from '../mount/limits.ts'
import type { DescriptorStore } from './descriptor-store.ts'
import type { LibrbdHandover } from './librbd-service.ts'
import { bootMsMax, stopMsMax } from './limits.ts'
import type { Fate } from './restart-policy.ts'
import type { WorkerExit, WorkerProcess } from './worker-process.ts'

export type MessageOf<T extends ToSupervisor['type']> = Extract<ToSupervisor, { type: T }>

/** Doubts about the cache that earlier workers leave to the next one's boot, and whether guests wait for it. */
export type BootCircumstances = Pick<
  Extract<ToWorker, { readonly type: 'boot' }>,
  'bypass' | 'indexDoubt' | 'isAwaited'
>

export interface WorkerHandshakeContext {
  /** The settings for its boot. */
  settings(): Settings
  readonly logger: Logger
  /** Messages of the worker that are no answer to a step. */
  readonly onMessage: (message: ToSupervisor) => void
}

export class WorkerHandshake {
  readonly process: WorkerProcess
  readonly #parts: WorkerHandshakeContext
  // Rejects at the first thing that makes a step pointless.
  readonly #failed: Promise<never>
  #fail!: (error: Error) => void
  #expected: { readonly type: ToSupervisor['type']; readonly resolve: (message: ToSupervisor) => void } | null = null
  #ending: Promise<WorkerExit> | undefined
  readonly #hello: Promise<MessageOf<'hello'>>
  #heardHello!: (message: MessageOf<'hello'>) => void
  /** Its first message; null until it has come. */
  #said: MessageOf<'hello'> | null = null
  /** It speaks our language, and has nothing against our cache. */
  #isUnderstood = false
  #isOurKill = false
  #hasBooted = false
  #exit: WorkerExit | null = null

  /** @param process running, and not spoken to yet */
  constructor(process: WorkerProcess, parts: WorkerHandshakeContext) {
    this.process = process
    this.#parts = parts
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.#failed.catch(() => {}) // The step under way sees it; between steps there is no need to.
    this.#hello = new Promise(resolve => {
      this.#heardHello = resolve
    })
    process.onMessage(
      message => this.#receive(message),
      (type, why) => parts.logger.warn({ type, why, worker: process.pid }, 'a message of the worker is ignored'),
    )
    void process.exited.then(exit => {
      this.#exit = exit
      this.#fail(new CacheError('mount-failed', `the worker ended with ${exit.how} before the mount was up`))
    })
  }

  /** The cause of its end, or of its failure to come up. */
  get fate(): Fate {
    if (this.#exit?.how === 'signal SIGKILL' && !this.#isOurKill) return 'killed'
    return this.#isUnderstood ? 'crashed' : 'unstarted'
  }

  /** Reason to doubt an index that it did not close: it ended by a signal of its own, or hung. Null: it did not. */
  get indexDoubt(): string | null {
    const ownSignal = this.fate === 'crashed' && this.#exit?.code === null
    return ownSignal ? `a worker ended with ${this.#exit?.how}` : null
  }

  /** Everything but the mount was up. */
  get hasBooted(): boolean {
    return this.#hasBooted
  }

  /**
   * Before a boot: could it? Nothing is touched.
   * @param isAwaited guests wait for it
   * @returns its version
   * @throws CacheError why it could not
   */
  async prepare(isAwaited: boolean): Promise<string> {
    const prepared = this.#expect('prepared', prepareMsMax)
    this.send({ type: 'prepare', settings: this.#parts.settings(), isAwaited })
    const answer = await prepared
    return this.#versionOf(this.#said ?? answer)
  }

  /**
   * @param circumstances why it is to run without the cache, or to copy the index, or null; and whether guests wait
   * @param expected the version that served before, or null. The files of another version may have come to its place
   * meanwhile: a worker of another one is asked first whether it could.
   * @returns its answer, and its version
   * @throws CacheError whatever stood in the way
   */
  async boot(
    circumstances: BootCircumstances,
    expected: string | null,
  ): Promise<MessageOf<'booted'> & { readonly version: string }> {
    const late = () => new CacheError('mount-failed', `the worker said nothing for ${bootMsMax / 1000} seconds`)
    const version = this.#versionOf(await withTimeout(bootMsMax, this.orFailed(this.#hello), late))
    if (expected !== null && version !== expected) {
      this.#parts.logger.warn({ expected, version }, 'another version lies where the one that served was')
      await this.prepare(circumstances.isAwaited)
    }
    this.#isUnderstood = true
    return { ...(await this.#boot(circumstances)), version }
  }

  async #boot(circumstances: BootCircumstances): Promise<MessageOf<'booted'>> {
    const booted = this.#expect('booted', bootMsMax)
    this.send({ type: 'boot', settings: this.#parts.settings(), keeperPid: process.pid, ...circumstances })
    const message = await booted
    this.#hasBooted = true
    return message
  }

  /**
   * Resolves when requests that come through `fd` are answered; it stays the caller's.
   * @param negotiated what an earlier worker settled on the same descriptor, or null
   * @param judgement requests that may kill it
   * @param held the mount stays when we die, and librbd's connections
   * @param librbd the same of the object view, and the channel of librbd's connections; null: librbd is not served
   * @throws CacheError
   */
  async serve(
    fd: number,
    negotiated: Negotiated | null,
    judgement: PoisonVerdict,
    { isHeld: kept, isLibrbdHeld }: Pick<DescriptorStore, 'isHeld' | 'isLibrbdHeld'>,
    librbd: LibrbdHandover | null = null,
  ): Promise<void> {
    const ready = this.#expect('ready', mountAnswerMsMax)
    for (const each of librbd ? [fd, librbd.view, librbd.channel] : [fd]) this.process.sendFd(each)
    const view = librbd && { negotiated: librbd.negotiated, kept: isLibrbdHeld }
    this.send({ type: 'mounted', negotiated, judgement, kept, librbd: view })
    await ready
  }

  /** Have the worker mount by itself; resolves when it serves. @throws CacheError */
  async mount(): Promise<void> {
    const ready = this.#expect('ready', mountAnswerMsMax)
    this.send({ type: 'mount' })
    await ready
  }

  /** Rejects as soon as a step would. */
  orFailed<T>(step: Promise<T>): Promise<T> {
    return Promise.race([step, this.#failed])
  }

  send(message: ToWorker): void {
    this.process.send(message)
  }

  /** At once, and by us. */
  kill(): void {
    this.#isOurKill = true
    this.process.kill()
  }

  /** The step under way, and each that follows, ends with `error`. */
  giveUp(error: CacheError): void {
    this.#fail(error)
  }

  /** End it: asked to, and killed when it does not. Idempotent. */
  end(): Promise<WorkerExit> {
    return (this.#ending ??= this.#end())
  }

  async #end(): Promise<WorkerExit> {
    this.send({ type: 'stop' })
    try {
      return await withTimeout(stopMsMax, this.process.exited, () => new Error('late'))
    } catch {
      this.kill()
      this.#parts.logger.error({ stopMsMax, worker: this.process.pid }, 'the worker did not stop, and was killed')
      return this.process.exited
    }
  }

  #receive(message: ToSupervisor): void {
    if (message.type === 'hello') this.#heardHello((this.#said = message))
    else if (message.type === 'failed') this.#fail(new CacheError(message.code, message.message))
    else if (message.type === this.#expected?.type) this.#expected.resolve(message)
    else this.#parts.onMessage(message)
  }

  /** @throws CacheError invalid-argument when it speaks another language */
  #versionOf({ version, protocol }: MessageOf<'hello'> | MessageOf<'prepared'>): string {
    if (protocol === protocolVersion) return version
    const what = `version ${version} speaks protocol ${protocol}, and the supervisor ${protocolVersion}`
    throw new CacheError('invalid-argument', `${what}: unmount, and mount with the other version`)
  }

  /** The next message of that type. */
  #expect<T extends ToSupervisor['type']>(type: T, ms: number): Promise<MessageOf<T>> {
    const arrival = new Promise<ToSupervisor>(resolve => {
      this.#expected = { type, resolve }
    })
    const late = () => new CacheError('mount-failed', `the worker was not ${type} after ${ms / 1000} seconds`)
    const message = withTimeout(ms, this.orFailed(arrival as Promise<MessageOf<T>>), late)
    message.catch(() => {}) // A waiter sees the error; this is for a start that fails before that.
    return message
  }
}
