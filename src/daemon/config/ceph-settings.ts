/**
 * Settings of an origin in a Ceph cluster, beside those that every origin has.
 */
import { z } from 'zod'
import type { OriginOptions } from '../../origin/open-origin.ts'
import { booleanField, pathField, setting, shown } from './setting-fields.ts'

/** A name as Ceph's own tools take it. */
function name(what: string) {
  return z
    .string({ error: ({ input }) => `${shown(input)} is not the name of a ${what}` })
    .regex(/^[\w][\w.-]*$/, { error: ({ input }) => `${shown(input)} is not the name of a ${what}: give a plain word` })
    .optional()
}

/** Of rbd and rados origins. */
export const radosFields = {
  cephConf: pathField({
    live: true,
    what: "rbd and rados: Ceph's configuration file",
    unset: 'where Ceph looks: `/etc/ceph/CLUSTER.conf`',
  }),
  cephId: setting(name('client'), {
    kind: 'text',
    range: 'a name without `client.`',
    live: true,
    what: 'rbd and rados: client id for the cluster',
    unset: '`admin`',
  }),
  cephKeyring: pathField({
    live: true,
    what: 'rbd and rados: keyring with the key of cephId',
    unset: 'where Ceph looks: `/etc/ceph/CLUSTER.client.ID.keyring`',
  }),
  cluster: setting(name('cluster'), {
    kind: 'text',
    range: 'a name',
    live: false,
    what: 'rbd and rados: name of the cluster, as in the URL; part of the identity of cached images',
    unset: '`ceph`',
  }),
  namespace: setting(
    z
      .string({ error: ({ input }) => `${shown(input)} is not the name of a namespace` })
      .regex(/^[^/@\0]+$/, { error: 'a namespace has neither / nor @ in its name' })
      .optional(),
    {
      kind: 'text',
      range: 'a name',
      live: false,
      what: 'rbd and rados: namespace of the pool, as in the URL; part of the identity of cached images',
      unset: 'the default one',
    },
  ),
}

/** Of rbd origins. */
export const rbdFields = {
  ...radosFields,
  allowMutable: booleanField({
    live: true,
    what: 'rbd: show an image without a snapshot as it is now; nbd: serve exports without a digest; the operator guarantees that no client writes to them',
    unset: 'false',
  }),
}

type CephSettings = { readonly [name in keyof typeof rbdFields]?: z.output<(typeof rbdFields)[name]> }

/** The same, as src/origin/open-origin.ts wants it. */
export function cephOptionsOf({ cephConf, cephId, cephKeyring, allowMutable }: CephSettings): OriginOptions['ceph'] {
  return {
    configurationFile: cephConf ?? null,
    id: cephId ?? null,
    keyring: cephKeyring ?? null,
    allowMutable: allowMutable ?? false,
  }
}
