/** Interface of the channel to the supervisor, as its worker uses it. */
import type { ToSupervisor } from '../ipc/messages.ts'

/** The supervisor as its worker sees it. */
export interface SupervisorChannel {
  /** Resolves when the message is on its way, or the supervisor has gone. */
  send(message: ToSupervisor): Promise<void>
  /** Hears messages that are not validated yet. */
  onMessage(listener: (value: unknown) => void): void
  onDisconnect(listener: () => void): void
}
