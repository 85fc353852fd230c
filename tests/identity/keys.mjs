// Makes a key of each kind in the folder that is named: PEM for the provider, DER for the tests' own signatures,
// and the public keys as a JWK set.
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const folder = process.argv[2];
const kinds = [
  ['rs256', 'rsa', { modulusLength: 2048 }, 'pkcs1'],
  ['es256', 'ec', { namedCurve: 'P-256' }, 'pkcs8'],
  ['eddsa', 'ed25519', {}, 'pkcs8'],
];
const keys = kinds.map(([name, type, options, der]) => {
  const { privateKey, publicKey } = generateKeyPairSync(type, options);
  writeFileSync(`${folder}/${name}.pem`, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(`${folder}/${name}.der`, privateKey.export({ type: der, format: 'der' }));
  writeFileSync(`${folder}/${name}.pub.pem`, publicKey.export({ type: 'spki', format: 'pem' }));
  return { ...publicKey.export({ format: 'jwk' }), use: 'sig', kid: `${name}-1` };
});
writeFileSync(`${folder}/jwks.json`, JSON.stringify({ keys }));
