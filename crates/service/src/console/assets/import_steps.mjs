// How a PKCS#12 file gets into each system, which format its importer takes, and which system this is.

export const DEVICES = {
  'firefox': {
    title: 'Firefox, any system', format: 'modern',
    steps: ['Open Settings, Privacy & Security, and at its end "View Certificates…".', 'In "Your Certificates" choose "Import…", take the file, and type its password.'],
  },
  'chrome-linux': {
    title: 'Chrome or Chromium on Linux', format: 'modern',
    steps: ['Open chrome://certificate-manager (or Settings, Privacy and security, Security, Manage certificates).', 'Under "Your certificates" choose "Import", take the file, and type its password.'],
  },
  'windows': {
    title: 'Windows (Edge, Chrome)', format: 'compatible',
    steps: ['Double-click the file: the import wizard opens.', 'Keep "Current User", type the password, and let Windows choose the store.', 'For Firefox on Windows choose "Firefox, any system" above.'],
  },
  'macos': {
    title: 'macOS (Safari, Chrome)', format: 'compatible', profile: true,
    steps: ['Double-click the file: Keychain Access opens.', 'Choose the keychain "login" and type the password.'],
  },
  'ios': {
    title: 'iPhone or iPad', format: 'compatible', profile: true,
    steps: ['Take the Apple profile, and allow its download.', 'Open Settings: "Profile Downloaded" stands at the top. Choose "Install" and type the password.', 'Safari uses it; other browsers on iOS do not.'],
  },
  'android': {
    title: 'Android', format: 'compatible',
    steps: ['Open the downloaded file, or Settings, Security, Encryption & credentials, Install a certificate, "VPN & app user certificate".', 'Type the password. Chrome uses it; Firefox for Android does not.'],
  },
  'java': {
    title: 'Java (keytool), older programs', format: 'compatible',
    steps: ['Use the file as it is as a key store of type PKCS12.', 'Its entry is found with: keytool -list -keystore FILE'],
  },
  'openssl': {
    title: 'curl, OpenSSL 3, Node.js, Python', format: 'modern',
    steps: ['curl takes it as it is: curl --cert-type P12 --cert FILE …', 'Node.js too: https.request({ pfx, passphrase })', 'As PEM: openssl pkcs12 -in FILE -nodes'],
  },
};

// Which of them a browser's User-Agent means. iPads call themselves Macintosh, but have fingers.
export function deviceOf(userAgent, touchPoints) {
  if (/iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && touchPoints > 1)) return 'ios';
  if (/Android/.test(userAgent)) return 'android';
  if (/Firefox\//.test(userAgent)) return 'firefox';
  if (/Windows/.test(userAgent)) return 'windows';
  if (/Macintosh/.test(userAgent)) return 'macos';
  return 'chrome-linux';
}
