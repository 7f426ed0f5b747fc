<resource schema="vac" resdir="vac">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">Loopback value-added labels</meta>
  <meta name="description">Made-up masses and star-formation rates of some of the galaxies with
    spectra, and of one object without. Served only for tests.</meta>
  <meta name="subject">galaxies</meta>
  <meta name="creator">jpassed test suite</meta>
  <meta name="contentLevel">Research</meta>
  <meta name="type">Catalog</meta>
  <meta name="coverage.waveband">Optical</meta>

  <table id="labels" onDisk="True" adql="True" primary="specobjid" mixin="//scs#q3cindex">
    <column name="specobjid" type="bigint" ucd="meta.id;meta.main" required="True"
      description="Identifier of the spectrum"/>
    <column name="ra" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main"
      description="Right ascension, ICRS"/>
    <column name="dec" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main"
      description="Declination, ICRS"/>
    <column name="logmstar" type="double precision" ucd="phys.mass"
      description="log10 of the stellar mass in solar masses"/>
    <column name="logmstar_err" type="double precision" ucd="stat.error;phys.mass"
      description="1-sigma error of logmstar"/>
    <column name="logsfr" type="double precision" ucd="phys.SFR"
      description="log10 of the star-formation rate in solar masses a year; NULL if not measured"/>
    <column name="logsfr_err" type="double precision" ucd="stat.error;phys.SFR"
      description="1-sigma error of logsfr"/>
  </table>

  <data id="import">
    <make table="labels">
      <script type="preIndex" lang="python" name="fill the table" notify="False">
        import make_spectra
        make_spectra.fill(table)
      </script>
    </make>
  </data>
</resource>
