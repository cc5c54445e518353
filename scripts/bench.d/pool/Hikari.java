import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.lang.management.ManagementFactory;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.Arrays;

/** SELECT 1 through HikariCP, by threads that share it; prints one line of JSON.
 *
 *  Hikari HOST:PORT PASSWORD SECONDS WORKERS CONNECTIONS (JDBC has no Unix sockets) */
public class Hikari {
  public static void main(String[] arguments) throws Exception {
    double seconds = Double.parseDouble(arguments[2]);
    int workers = Integer.parseInt(arguments[3]);
    HikariConfig config = new HikariConfig();
    // Prepared at the server from the first use on, as the others do.
    config.setJdbcUrl("jdbc:postgresql://" + arguments[0] + "/postgres?prepareThreshold=1");
    config.setUsername("warmgate");
    config.setPassword(arguments[1]);
    config.setMaximumPoolSize(Integer.parseInt(arguments[4]));
    config.setMinimumIdle(Integer.parseInt(arguments[4]));
    HikariDataSource pool = new HikariDataSource(config);

    // Long enough for its just-in-time compiler.
    long begin = System.nanoTime() + 3_000_000_000L, end = begin + (long) (seconds * 1e9);
    long[][] samples = new long[workers][];
    Thread[] threads = new Thread[workers];
    for (int index = 0; index < workers; index++) {
      int mine = index;
      threads[index] = new Thread(() -> samples[mine] = work(pool, begin, end));
      threads[index].start();
    }
    Thread.sleep((begin - System.nanoTime()) / 1_000_000);
    long before = processorTime();
    Thread.sleep((end - System.nanoTime()) / 1_000_000);
    long spent = processorTime() - before;
    for (Thread thread : threads) thread.join();
    pool.close();

    long[] latencies = Arrays.stream(samples).flatMapToLong(Arrays::stream).sorted().toArray();
    int total = latencies.length;
    int slowest = Arrays.stream(samples).mapToInt(mine -> mine.length).min().getAsInt();
    System.out.printf(
        java.util.Locale.ROOT,
        "{\"ops\": %.1f, \"p50\": %.1f, \"p99\": %.1f, \"fairness\": %.4f, \"cpu\": %.3f}%n",
        total / seconds, latencies[total / 2] / 1e3, latencies[(int) (total * 0.99)] / 1e3,
        (double) slowest * workers / total, spent / 1e3 / total);
  }

  static long processorTime() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }

  static long[] work(HikariDataSource pool, long begin, long end) {
    long[] samples = new long[1 << 16];
    int count = 0;
    try {
      long asked = System.nanoTime();
      while (asked < end) {
        try (Connection connection = pool.getConnection();
            PreparedStatement statement = connection.prepareStatement("SELECT 1");
            ResultSet answer = statement.executeQuery()) {
          if (!answer.next() || answer.getInt(1) != 1) throw new IllegalStateException("not 1");
        }
        long now = System.nanoTime();
        if (asked >= begin) {
          if (count == samples.length) samples = Arrays.copyOf(samples, 2 * count);
          samples[count++] = now - asked;
        }
        asked = now;
      }
    } catch (java.sql.SQLException error) {
      throw new IllegalStateException(error);
    }
    return Arrays.copyOf(samples, count);
  }
}
