import Testing

@testable import warmgate

@Suite struct PasswordHidingTests {
  @Test(
    "a URI is shown without its password",
    arguments: [
      ("postgres://app@db/orders", "postgres://app@db/orders"),
      ("postgres://app:s3cret@db:5432/orders", "postgres://app:***@db:5432/orders"),
      ("postgresql://app:@db", "postgresql://app:***@db"),
      ("postgres://db:5432/orders?application_name=a@b", "postgres://db:***@b"),
      (
        "postgres://app@db/orders?password=s3cret&sslmode=require",
        "postgres://app@db/orders?password=***&sslmode=require"
      ),
      (
        "postgres://db/o?sslmode=require&sslpassword=s3cret",
        "postgres://db/o?sslmode=require&sslpassword=***"
      ),
      ("postgres://db/o?pass%77ord=s3cret", "postgres://db/o?pass%77ord=***"),
      ("postgres://db/o?passfile=/run/pgpass", "postgres://db/o?passfile=/run/pgpass"),
      ("postgres://app:s3cret@db1:1,db2:2/orders", "postgres://app:***@db1:1,db2:2/orders"),
      ("http://app:s3cret@127.0.0.1:8086/", "http://app:***@127.0.0.1:8086/"),
    ])
  func uri(text: String, shown: String) {
    #expect(hidingPasswords(in: text) == shown)
  }

  @Test(
    "a keyword string is shown without its passwords",
    arguments: [
      ("host=db user=app", "host=db user=app"),
      ("host=db password=s3cret user=app", "host=db password=*** user=app"),
      ("password = 's3 cr\\'et' host=db", "password = *** host=db"),
      ("password=s3\\ cret host=db", "password=*** host=db"),
      ("sslpassword=s3cret", "sslpassword=***"),
      ("PASSWORD=s3cret", "PASSWORD=***"),
      ("password=", "password=***"),
      ("password='s3cret", "password=***"),
    ])
  func keywords(text: String, shown: String) {
    #expect(hidingPasswords(in: text) == shown)
  }

  @Test(
    "a password does not show because of the way a text is broken",
    arguments: [
      "postgres://app:s3cret/s3cret@db/orders", "postgres://app:s3cret@s3cret@db/orders",
      "postgres://app:s3cret?s3cret@db/orders", "postgres://app:s3cret#s3cret@db",
      "postgres://app:s3cret?s3cret=s3cret@db", "postgres://app:s3cret:s3cret@db", "postgres://:s3cret@db",
      "postgres://app:s3cret@", "://app:s3cret@db", "host=db password s3cret", "password=a s3cret host=db",
      "host=db password = s3cret", "user=app password='s3cret s3cret", "password=\ts3cret",
      "POSTGRES://app:s3cret@db?password=s3cret", "postgres://app:s3cret@db/o?x=1&password=s3cret&y=2",
      "jdbc:postgresql://app:s3cret@db/orders", "app:s3cret@db/orders", "postgres:/app:s3cret@db",
      "postgres//app:s3cret@db", "app:s3=s3cret@db", "postgres://app@db/o?password=a&s3cret",
      "postgres://app@db/o?user=app;password=s3cret", "host=db,password=s3cret",
      "Server=db;User Id=app;Pwd=s3cret;", "{\"password\":\"s3cret\"}", "password=x://s3cret",
      "password=s3cret host=http://db", "host=db dbname='postgres://app:s3cret@db/orders'",
      "password=a\u{A0}x=s3cret", "password=\u{301}s3cret", "postgres://app:\u{301}s3cret@db",
      "postgres://app@db/o?password=\u{FE0F}s3cret", "postgres://app?x=:s3cret@db/orders",
    ])
  func broken(text: String) {
    #expect(!hidingPasswords(in: text).contains("s3cret"))
  }

  @Test("what is shown of a value stays on its line and does not steer the terminal")
  func quoted() {
    #expect("a\nb\u{1B}[2J\u{202E}".quoted == "\"a\\nb\\u{1b}[2J\\u{202e}\"")
    #expect(String(repeating: "x", count: 300).quoted.count == 82)
    #expect("postgres://u:s3cret@h".quoted == "\"postgres://u:***@h\"")
  }
}
