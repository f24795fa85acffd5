// An Apple configuration profile with the identity (PKCS#12, its password asked on installation) and the authority's
// root. Keys and values: "Configuration Profile Reference", payloads com.apple.security.pkcs12 and .root.

import { base64 } from './der.mjs';

const escape = (text) => text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);

function payload(type, name, file, octets) {
  return `<dict>
<key>PayloadType</key><string>${type}</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadUUID</key><string>${crypto.randomUUID()}</string>
<key>PayloadIdentifier</key><string>countersign.${crypto.randomUUID()}</string>
<key>PayloadDisplayName</key><string>${escape(name)}</string>
<key>PayloadCertificateFileName</key><string>${escape(file)}</string>
<key>PayloadContent</key><data>${base64(octets)}</data>
</dict>
`;
}

export function appleProfile({ name, authority, identity, root }) {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadUUID</key><string>${crypto.randomUUID()}</string>
<key>PayloadIdentifier</key><string>countersign.${crypto.randomUUID()}</string>
<key>PayloadDisplayName</key><string>${escape(`${name} at ${authority}`)}</string>
<key>PayloadDescription</key><string>${escape(`A client certificate for ${name}, and the root of ${authority}.`)}</string>
<key>PayloadContent</key><array>
${payload('com.apple.security.pkcs12', name, 'identity.p12', identity)}${payload('com.apple.security.root', authority, 'rootCA.cer', root)}</array>
</dict></plist>
`;
}
