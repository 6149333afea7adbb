/**
 * Client process of the serving benchmarks: connections that each ask for one range after the other of an image, in
 * plain HTTP or TLS, and throw the bytes away. Takes {@link RangeLoad} as JSON in its first argument. Prints the bytes
 * of bodies when it has all of them, or at the end of its input.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface RangeLoad {
  readonly port: number
  readonly path: string
  /** Lines of each request's head, each with its end. */
  readonly head: string
  readonly sizeBytes: number
  readonly rangeBytes: number
  readonly connections: number
  /** To be received by all of them; null: until the input ends. */
  readonly bytes: number | null
  /** PEM of the server's authority; null: plain HTTP. */
  readonly ca: string | null
}

const load = JSON.parse(process.argv[2]!) as RangeLoad
const ranges = Math.floor(load.sizeBytes / load.rangeBytes)
let [received, asked] = [0, 0]

process.stdin.on('end', () => finish()).resume()
for (let k = 0; k < load.connections; k++) begin(k)

function begin(k: number): void {
  const { port, ca } = load
  const socket: Socket = ca === null ? connect(port, '127.0.0.1') : connectTls({ port, host: '127.0.0.1', ca })
  let at = Math.floor((k * ranges) / load.connections)
  /** Of the answer that is coming; null: its head has not come whole. */
  let left: number | null = null
  let head = ''
  const ask = () => {
    if (load.bytes !== null && asked >= load.bytes) return void socket.end()
    asked += load.rangeBytes
    const offset = (at++ % ranges) * load.rangeBytes
    const range = `Range: bytes=${offset}-${offset + load.rangeBytes - 1}\r\n`
    socket.write(`GET ${load.path} HTTP/1.1\r\nHost: x\r\n${range}${load.head}\r\n`)
  }
  socket.setNoDelay(true)
  socket.on('error', error => fail(error.message))
  socket.once(ca === null ? 'connect' : 'secureConnect', ask)
  socket.on('data', (chunk: Buffer) => {
    let bytes = chunk.length
    if (left === null) {
      head += chunk.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 206 ')) fail(head.slice(0, 100))
      bytes = head.length - end - 4
      left = load.rangeBytes
      head = ''
    }
    left -= bytes
    received += bytes
    if (left > 0) return
    left = null
    if (load.bytes !== null && received >= load.bytes) finish()
    ask()
  })
}

function finish(): never {
  process.stdout.write(`${received}\n`)
  process.exit(0)
}

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`)
  process.exit(1)
}
