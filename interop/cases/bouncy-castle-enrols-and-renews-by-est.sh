#!/usr/bin/env bash
# Bouncy Castle's EST client, as it is: the CA certificates and the attributes of a request, a first certificate with an
# invite's code as the password that it is asked for, and the next one with the first over mutual TLS.
# needs: java javac /usr/share/java/bcpkix.jar node openssl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Devices"
start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'
host=$(grep -o -E 'localhost:[0-9]+' <<<"$LINE" | head -n1)
expect_success "$COUNTERSIGN" invite device --json
node -p 'JSON.parse(require("fs").readFileSync(0)).code' <<<"$STDOUT" >code
cat >Est.java <<'PROGRAM'
import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.cert.Certificate;
import java.security.spec.ECGenParameterSpec;
import java.util.*;
import javax.net.ssl.*;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.est.*;
import org.bouncycastle.est.jcajce.*;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;
import org.bouncycastle.util.Selector;

/** An EST client (RFC 7030) of Bouncy Castle: what it is told of the CA, a first certificate by password, the next by mutual TLS. */
public class Est {
    static final List<X509Certificate> cas = new ArrayList<>();
    static KeyPair pair;

    static ESTService service(String host, TrustManager[] trust, KeyManager[] keys) {
        List<X509TrustManager> managers = new ArrayList<>();
        for (TrustManager one : trust) managers.add((X509TrustManager) one);
        JsseESTServiceBuilder builder = new JsseESTServiceBuilder(host, managers.toArray(new X509TrustManager[0]));
        builder.withHostNameAuthorizer(new JsseDefaultHostnameAuthorizer(Collections.emptySet()));
        builder.addCipherSuites(new String[] {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"});
        if (keys != null) builder.withKeyManagers(keys);
        return builder.build();
    }

    static X509Certificate enrol(ESTService est, boolean again, ESTAuth auth) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        pair = generator.generateKeyPair();
        JcaPKCS10CertificationRequestBuilder request =
            new JcaPKCS10CertificationRequestBuilder(new X500Name("CN=device"), pair.getPublic());
        EnrollmentResponse answer =
            est.simpleEnroll(again, request.build(new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate())), auth);
        X509CertificateHolder[] holders = ESTService.storeToArray(answer.getStore());
        return new JcaX509CertificateConverter().getCertificate(holders[0]);
    }

    static void write(String name, X509Certificate certificate) throws Exception {
        String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(certificate.getEncoded());
        Files.writeString(Path.of(name), "-----BEGIN CERTIFICATE-----\n" + body + "\n-----END CERTIFICATE-----\n");
    }

    public static void main(String[] arguments) throws Exception {
        String host = arguments[0];
        KeyStore anchors = KeyStore.getInstance("PKCS12");
        anchors.load(null, null);
        try (InputStream in = new FileInputStream(arguments[1])) {
            anchors.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(anchors);
        ESTService est = service(host, trust.getTrustManagers(), null);
        for (X509CertificateHolder ca : ESTService.storeToArray(est.getCACerts().getCertificateStore()))
            cas.add(new JcaX509CertificateConverter().getCertificate(ca));
        System.out.println("cas " + cas.size());
        System.out.println("attributes " + est.getCSRAttributes().getAttributesResponse().getRequirements().size());
        String code = Files.readString(Path.of(arguments[2])).trim();
        try {
            enrol(est, false, new HttpAuth("device", "wrong".toCharArray()));
            System.out.println("a wrong code was taken");
        } catch (ESTException refused) {
            System.out.println("refused " + refused.getStatusCode());
        }
        X509Certificate first = enrol(est, false, new HttpAuth("device", code.toCharArray()));
        write("first.pem", first);
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        List<Certificate> chain = new ArrayList<>(List.of(first));
        for (X509Certificate ca : cas)
            if (ca.getSubjectX500Principal().equals(first.getIssuerX500Principal())) chain.add(ca);
        own.setKeyEntry("device", pair.getPrivate(), new char[0], chain.toArray(new Certificate[0]));
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(own, new char[0]);
        write("second.pem", enrol(service(host, trust.getTrustManagers(), keys.getKeyManagers()), true, null));
    }
}
PROGRAM
ca=$COUNTERSIGN_HOME/rootCA.pem
expect_success java -cp /usr/share/java/bcpkix.jar:/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar Est.java \
    "$host" "$ca" code
assert_contains "$STDOUT" "cas 2" "the CA certificates"
assert_contains "$STDOUT" "refused" "what a wrong code gets"
assert_lacks "$STDOUT" "was taken" "a wrong code"
expect_success "$COUNTERSIGN" show device --pem
chain=$STDOUT
for name in first second; do
    expect_success openssl verify -purpose sslclient -CAfile "$ca" -untrusted <(printf '%s\n' "$chain") "$name.pem"
    assert_contains "$(openssl x509 -in "$name.pem" -noout -subject)" "device" "the subject of the $name"
done
expect_success "$COUNTERSIGN" audit tail --lines 10
assert_contains "$STDOUT" "est" "the way in, in the audit trail"
