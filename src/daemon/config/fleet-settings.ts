/**
 * Settings of the fleet: serving images to other hosts, the group of hosts that share, and its registry.
 *
 * Every host has them all with defaults; without `listen` nothing is served, without `group` no member is asked.
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import { KiB, TiB } from '../../base/limits.ts'
import { fleetMembersMax } from './limits.ts'
import {
  booleanField,
  choiceField,
  durationField,
  measured,
  pathField,
  secretField,
  setting,
  shareField,
  shown,
} from './setting-fields.ts'
import { fleetPreferences, fleetRegistrations } from './settings.ts'

/** The settings of the fleet, judged. */
export type FleetSettings = z.output<typeof fleetSchema>

/** The least rate that can be set: below it a block takes seconds. */
const serveRateMin = 64 * KiB

const word = (what: string, pattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/) =>
  z
    .string({ error: ({ input }) => `${shown(input)} is not ${what}` })
    .regex(pattern, { error: ({ input }) => `${shown(input)} is not ${what}` })
    .nullable()
    .default(null)

function wordField(what: string, described: { readonly live: boolean; readonly what: string; readonly unset: string }) {
  return setting(word(what), { kind: 'text', range: 'letters, digits, dots, dashes, underscores', ...described })
}

function urlsField(scheme: RegExp, range: string, described: { readonly live: boolean; readonly what: string }) {
  const url = z
    .string({ error: ({ input }) => `${shown(input)} is not a URL` })
    .refine(text => URL.canParse(text) && scheme.test(text), {
      error: ({ input }) => `${shown(input)} is not a URL here: write it like ${range}`,
    })
  const list = z.array(url, { error: ({ input }) => `${shown(input)} is not a list: write [${range}]` })
  const schema = list
    .max(fleetMembersMax, { error: `at most ${fleetMembersMax} go together` })
    .nullable()
    .default(null)
  return setting(schema, { kind: 'text', range: `[${range}, ...]`, unset: 'none', ...described })
}

const rados = z.strictObject({
  pool: wordField('the name of a pool', {
    live: false,
    what: 'rados: pool of the object with the members; the cluster and its user are those of the origin',
    unset: 'none',
  }),
  object: wordField('the name of an object', {
    live: false,
    what: 'rados: object whose omap has the members',
    unset: 'parentfs.GROUP',
  }),
})

const registry = z.strictObject({
  etcd: urlsField(/^https?:/, 'https://HOST:2379', {
    live: false,
    what: 'servers of the etcd cluster with the members',
  }),
  prefix: setting(word('a prefix', /^[A-Za-z0-9._/-]{1,128}$/), {
    kind: 'text',
    range: 'a path of letters, digits, dots, dashes, underscores',
    live: false,
    what: 'etcd: keys of the members lie below PREFIX/GROUP/',
    unset: 'parentfs',
  }),
  ca: pathField({ live: true, what: 'etcd: file of CA certificates (PEM) of the servers', unset: 'the usual ones' }),
  certificate: pathField({ live: true, what: 'etcd: client certificate (PEM)', unset: 'none' }),
  key: pathField({ live: true, what: 'etcd: key of the client certificate (PEM)', unset: 'none' }),
  user: setting(word('the name of a user', /^[^:\p{Cc}]{1,128}$/u), {
    kind: 'text',
    range: 'a name',
    live: true,
    what: 'etcd: user who logs in; goes with password',
    unset: 'none',
  }),
  password: secretField({ live: true, what: 'etcd: password of `user`', unset: 'none' }),
  rados: rados.prefault({}),
  dns: setting(word('a DNS name', /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,253}$/), {
    kind: 'text',
    range: 'a name, like _parentfs._tcp.example',
    live: false,
    what: 'dns: name whose SRV records are the members',
    unset: 'none',
  }),
  members: urlsField(/^https?:/, 'https://HOST:7447', { live: true, what: 'static: URLs of all members of the group' }),
})

const tls = z.strictObject({
  ca: pathField({
    live: true,
    what: 'file of CA certificates (PEM) of the group; clients need a certificate of it, unless there is a token, too',
    unset: 'none',
  }),
  certificate: pathField({ live: true, what: "this host's certificate and its chain (PEM)", unset: 'none' }),
  key: pathField({ live: true, what: 'key of the certificate (PEM)', unset: 'none' }),
})

const rate = measured('rate', (value, input) =>
  value >= serveRateMin && value <= TiB ? null : `${shown(input)} is out of range: give 64KiB/s to 1TiB/s`,
)

const listenAddress = z
  .string({ error: ({ input }) => `${shown(input)} is not an address: write it like 10.0.0.5:7447` })
  .refine(text => addressOf(text) !== null, {
    error: ({ input }) => `${shown(input)} is not an address and a port: write it like 10.0.0.5:7447 or [::1]:7447`,
  })
  .nullable()
  .default(null)

export const fleetSchema = z
  .strictObject({
    group: wordField('the name of a group', {
      live: false,
      what: 'group of hosts that share what they hold; all of them may read the same images at the origin',
      unset: 'none: no other host is asked',
    }),
    registry: registry.prefault({}),
    listen: setting(listenAddress, {
      kind: 'text',
      range: 'ADDRESS:PORT, [ADDRESS]:PORT',
      live: true,
      what: 'address that serves images to other hosts, read-only (docs/FLEET.md)',
      unset: 'none: nothing is served',
    }),
    url: setting(word('a URL', /^https?:\/\/[^\s/?#@]+\/?$/), {
      kind: 'text',
      range: 'https://HOST:PORT',
      live: true,
      what: 'URL by which other hosts reach `listen`',
      unset: 'that of `listen`',
    }),
    rack: wordField('the name of a rack', {
      live: false,
      what: 'place of this host; members of the same rack are asked first',
      unset: 'none',
    }),
    tls: tls.prefault({}),
    token: secretField({
      live: true,
      what: 'token that clients send (Authorization: Bearer), and that this host sends to members',
      unset: 'none',
    }),
    share: shareField({ min: 0, max: 1 }, 0.25, {
      live: true,
      what: 'share of the capacity for bytes that only other hosts read, which are evicted first; 0%: what is here is served, nothing is brought',
    }),
    serveRate: setting(rate.nullable().default(null), {
      kind: 'rate',
      range: '64KiB/s to 1TiB/s',
      live: true,
      what: 'bytes a second that are sent to other hosts, at most',
      unset: 'half of what the network card of `listen` says of itself, else 512MiB/s',
    }),
    patience: durationField({ min: 10, max: 5_000 }, 100, {
      live: true,
      what: 'time that members may add to a read, at most',
    }),
    hedgeShare: shareField({ min: 0, max: 0.5 }, 0.05, {
      live: true,
      what: 'budget of second requests to members, as a share of their answers; it starts empty. All members together have one such share for early requests to the origin',
    }),
    prefer: choiceField('prefer', fleetPreferences, 'sooner', {
      live: true,
      what: 'sooner: the origin is read where it is predicted to answer before a member; origin-relief: members are asked first anyway',
    }),
    register: choiceField('register', fleetRegistrations, 'none', {
      live: true,
      what: "glance: the URLs of this host's complete copies are added to the locations of Glance's images, where the service allows it",
    }),
    insecure: booleanField({
      live: true,
      what: 'HTTP without TLS is served on other addresses than loopback, and without a token or certificate where none is set',
      unset: 'false',
    }),
  })
  .superRefine(({ listen, tls: { ca, certificate, key }, token, insecure, registry: engine }, ctx) => {
    const complain = (path: string[], message: string) => ctx.addIssue({ code: 'custom', path, message })
    if ((certificate === null) !== (key === null))
      complain(['tls'], 'certificate and key go together: give both or none')
    if (ca !== null && certificate === null) complain(['tls', 'ca'], 'ca goes with certificate and key: give all three')
    if ((engine.user === null) !== (engine.password === undefined))
      complain(['registry', 'user'], 'user and password go together: give both or none')
    const engines = [engine.etcd, engine.rados.pool, engine.dns, engine.members].filter(each => each !== null)
    if (engines.length > 1) complain(['registry'], 'etcd, rados, dns and members do not go together: give one of them')
    const at = listen === null ? null : addressOf(listen)
    if (at === null || insecure === true) return
    if (certificate === null && !isLoopback(at.host))
      complain(['listen'], `${listen} would be served without TLS: give tls.certificate and tls.key`)
    if (token === undefined && ca === null)
      complain(
        ['listen'],
        `${listen} would be served to strangers: give a token, or tls.ca for certificates of clients`,
      )
  })

/** The host and port of `ADDRESS:PORT`; null where it is none. The address is numeric: names move. */
export function addressOf(text: string): { readonly host: string; readonly port: number } | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  return isIP(host) !== 0 && port >= 1 && port <= 65_535 ? { host, port } : null
}

function isLoopback(host: string): boolean {
  return host.startsWith('127.') || host === '::1'
}
