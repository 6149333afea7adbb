/**
 * `parentfs web`: the page of a mount on 127.0.0.1, for as long as the command runs. It prints a link that is good
 * once; Enter prints another one.
 *
 * No browser is started: the link would stand in its command line, which every user of the machine can read.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fetchStatus } from '../../admin/admin-client.ts'
import { isLoopbackHost } from '../../daemon/config/web-settings.ts'
import { OneTimeLinks, Sessions } from '../../web/sessions.ts'
import { WebGate } from '../../web/web-gate.ts'
import { WebListener } from '../../web/web-listener.ts'
import { WebRelay } from '../../web/web-relay.ts'
import { remark, say } from '../output/terminal-output.ts'
import { findMount, noDaemon } from './target.ts'

export interface WebArguments {
  /** Null: the only mount. */
  readonly path: string | null
  /** Null: one that is free. */
  readonly port: number | null
  readonly allowActions: boolean
}

/**
 * @returns the exit code
 * @throws CacheError not-found, invalid-argument (the port is taken), access-denied, closed
 */
export async function web({ path, port, allowActions }: WebArguments): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  if (!(await fetchStatus(socket))) throw await noDaemon(mountpoint)
  const [links, sessions, relay] = [new OneTimeLinks(), new Sessions(randomBytes(32)), new WebRelay(socket, mountpoint)]
  const gate = new WebGate({
    handler: (...request) => relay.handle(...request),
    isOurHost: isLoopbackHost,
    login: token => links.redeem(token),
    sessions: () => sessions,
    allowsActions: allowActions,
  })
  const leave = new AbortController()
  const stopListening = listenForSignals(() => leave.abort())
  const handle: typeof gate.handle = (request, response) => gate.handle(request, response)
  const listener = await WebListener.listen({ host: '127.0.0.1', port: port ?? 0, tls: null, handle })
  const printLink = () => say(`http://127.0.0.1:${listener.port}/#token=${links.create()}`)
  try {
    printLink()
    const [enter, what] = [process.stdin.isTTY === true, allowActions ? 'look and act' : 'look']
    remark(`parentfs: ${mountpoint}: the page may ${what}. The link is good once, for ten minutes.`)
    remark(`parentfs: ${enter ? 'Enter prints another link, ' : ''}Ctrl-C ends.`)
    if (enter) process.stdin.on('data', printLink)
    if (!leave.signal.aborted) await once(leave.signal, 'abort')
    return 0
  } finally {
    stopListening()
    if (process.stdin.isTTY) process.stdin.off('data', printLink).pause()
    await listener.close()
  }
}

function listenForSignals(onEnd: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of signals) process.on(name, onEnd)
  return () => {
    for (const name of signals) process.off(name, onEnd)
  }
}
